"""How well embeddings separate classes, without training anything: the nearest neighbour outside the own group."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from specvid.eval.neighbours import extreme_of
from specvid.eval.similarity import Similarity, warn_of_zeros

_BLOCK = 2048


@dataclass(frozen=True, eq=False)
class NeighbourScore:
    """Nearest-neighbour accuracy.

    Attributes:
        accuracy: share of the rows whose nearest neighbour of another group has their label.
        per_class: the same by label.
        neighbours: (N,) rows of these neighbours.
        hopeless: number of rows whose label no other group has: they count as wrong.
    """

    accuracy: float
    per_class: dict[Any, float]
    neighbours: np.ndarray
    hopeless: int


def leave_group_out(
    features: Any, labels: Sequence[Any] | np.ndarray, groups: Sequence[Any] | np.ndarray, *, metric: str = "cosine"
) -> NeighbourScore:
    """1-nearest-neighbour accuracy, each row being compared with the rows of all other groups.

    Groups hold what comes from one source (UCF-101: the clips cut from one film, ``gXX``), whose rows are alike
    whatever the embedding is worth. Of equally similar neighbours the first row counts. Only one block of similarities
    is in memory at a time.

    Args:
        features: (N, D) embeddings.
        labels: (N,) class of each row.
        groups: (N,) source of each row.
        metric: ``cosine`` or ``euclidean``.

    Raises:
        ValueError: numbers of rows that do not match, features that are not finite, or a single group.
    """
    similarity = Similarity(features, features, metric=metric)
    warn_of_zeros(similarity)
    label_names, label = np.unique(np.asarray(labels), return_inverse=True)
    group_names, group = np.unique(np.asarray(groups), return_inverse=True)
    count = len(similarity.query)
    if len(label) != count or len(group) != count:
        raise ValueError(f"{count} features, {len(label)} labels and {len(group)} groups: expected as many of each")
    if len(group_names) < 2:
        raise ValueError(f"all rows are of group {group_names[0]!r}: there must be at least two groups")
    _, where = extreme_of(similarity, hidden=lambda rows, items: group[rows][:, None] == group[items], block=_BLOCK)
    right = label[where] == label
    per_class = {name.item(): float(right[label == number].mean()) for number, name in enumerate(label_names)}
    pairs = np.unique(np.stack([label, group]), axis=1)
    groups_of_label = np.bincount(pairs[0], minlength=len(label_names))
    return NeighbourScore(float(right.mean()), per_class, where, int((groups_of_label[label] < 2).sum()))
