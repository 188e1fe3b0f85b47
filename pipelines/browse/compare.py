"""What sets two groups of rows apart: their columns, and the rows that stand for each."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from specvid.pipelines.browse.sets import BrowsedSet, Place
from specvid.pipelines.search.exact import best, unit

_MOST = 5  # values of a column that are shown of each group
_FEW = 20  # distinct integers up to which a column of them is one of labels, such as cameras
_REPRESENTATIVES = 6
_NO_COLUMNS = {"id", "path", "first_frame", "last_frame", "start_s", "end_s"}  # say where a row lies, not what it is


def compare(sets: Sequence[BrowsedSet], one: Sequence[Place], other: Sequence[Place]) -> dict[str, Any]:
    """Compare two groups of rows.

    Args:
        sets: the data sets.
        one: rows of the first group.
        other: rows of the second.

    Returns:
        ``rows`` of each group, and how many are in ``both``; ``cosine`` of their mean directions; ``columns`` with the
        ``difference`` of each (0: distributed alike, 1: nothing in common), the largest first, names of single rows
        last; and of each group the ``representatives``, the places nearest to its mean.

    Raises:
        ValueError: a group is empty.
    """
    groups = [list(dict.fromkeys(one)), list(dict.fromkeys(other))]
    for name, group in zip("AB", groups, strict=True):
        if not group:
            raise ValueError(f"group {name} has no rows: select some on the map, or by a filter.")
    vectors = [_vectors(sets, group) for group in groups]
    means = [unit(part.mean(axis=0, keepdims=True)) for part in vectors]
    names = list(dict.fromkeys(name for part in sets for name in part.columns if name not in _NO_COLUMNS))
    columns = [_column(name, *(_values(sets, group, name) for group in groups)) for name in names]
    if len(sets) > 1:
        columns.append(_column("data set", *([sets[at].name for at, _ in group] for group in groups)))
    return {
        "rows": [len(group) for group in groups],
        "both": len(set(groups[0]) & set(groups[1])),
        "cosine": round(float(means[0][0] @ means[1][0]), 4),
        "columns": sorted(columns, key=lambda column: (column["names"], -column["difference"])),
        "representatives": [
            [group[place] for place in best(mean @ part.T, min(_REPRESENTATIVES, len(group)))[0].tolist()]
            for group, part, mean in zip(groups, vectors, means, strict=True)
        ],
    }


def _vectors(sets: Sequence[BrowsedSet], group: Sequence[Place]) -> np.ndarray:
    """The unit vectors of rows."""
    found: dict[Place, Any] = {}
    for number, one in enumerate(sets):
        rows = [row for at, row in group if at == number]
        taken = one.rows.take(rows, ["embedding"])
        found |= {(number, row): columns["embedding"] for row, columns in zip(rows, taken, strict=True)}
    return unit(np.array([found[place] for place in group], np.float32))


def _values(sets: Sequence[BrowsedSet], group: Sequence[Place], name: str) -> list[Any]:
    """The values of a column."""
    rows = [np.array([row for at, row in group if at == number], np.int64) for number in range(len(sets))]
    return [value for one, own in zip(sets, rows, strict=True) for value in one.column(name, own)]


def _column(name: str, one: Sequence[Any], other: Sequence[Any]) -> dict[str, Any]:
    """How a column differs."""
    known = [[value for value in part if value is not None] for part in (one, other)]
    every = [value for part in known for value in part]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in every)
    labels = not numbers or (all(isinstance(value, int) for value in every) and len(set(every)) <= _FEW)
    if labels or not all(known):
        counts = [Counter(part) for part in (one, other)]
        shares = [{value: n / counter.total() for value, n in counter.items()} for counter in counts]
        apart = sum(abs(shares[0].get(value, 0) - shares[1].get(value, 0)) for value in shares[0] | shares[1]) / 2
        most = [counter.most_common(_MOST) for counter in counts]
        distinct = [len(counter) for counter in counts]
        names = not numbers and distinct == [len(one), len(other)]
        shown = {"most": most, "distinct": distinct, "names": names}
        return {"name": name, "kind": "values", "difference": round(apart, 4), **shown}
    # Kolmogorov and Smirnov's distance: like the above in [0, 1], whatever the unit of the column
    a, b = (np.sort(np.array(part, float)) for part in known)
    at = np.concatenate([a, b])
    apart = np.abs(np.searchsorted(a, at, "right") / len(a) - np.searchsorted(b, at, "right") / len(b)).max()
    figures = [[part.min(), float(np.median(part)), part.max()] for part in (a, b)]
    return {"name": name, "kind": "numbers", "difference": round(float(apart), 4), "range": figures, "names": False}
