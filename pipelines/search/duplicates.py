"""Rows of a data set that are nearly the same, found by comparing all with all."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import Rows, batches
from specvid.pipelines.search.deleting import deleted_rows
from specvid.pipelines.search.exact import unit_blocks
from specvid.pipelines.search.found_row import FoundRow

_BLOCK = 2048  # rows that are compared with all others at a time


@dataclass(frozen=True)
class DuplicateGroups:
    """What is nearly the same.

    Attributes:
        groups: in the order of their first rows; each a list of rows.
        rows: how many rows were compared.
    """

    groups: list[list[FoundRow]]
    rows: int


def find_duplicates(
    out: str | os.PathLike[str],
    *,
    threshold: float = 0.99,
    where: str = "",
    echo: Callable[[str], None] = lambda line: None,
) -> DuplicateGroups:
    """Find rows of different inputs that are nearly the same. All pairs are compared: N * N / 2 products.

    Args:
        out: a folder of embeddings.
        threshold: least cosine of two rows that are the same; rows that are linked by such pairs are one group.
        where: a filter on columns.
        echo: gets a line now and then.

    Returns:
        The groups of two and more. Windows of one input (rows of one id) are no duplicates of each other.

    Raises:
        ValueError: a threshold outside -1 to 1, a wrong filter, or an incomplete data set.
    """
    from specvid.pipelines.search.where import matching

    if not -1 < threshold <= 1:
        raise ValueError(f"threshold {threshold} must be a cosine, greater than -1 and at most 1.")
    folder = Folder(out)
    rows = Rows(folder)
    mask = matching(rows, where) if where else np.ones(len(rows), bool)
    if (deleted := deleted_rows(folder, rows)) is not None:
        mask &= ~deleted
    numbers = np.flatnonzero(mask)
    if not len(numbers):
        return DuplicateGroups([], 0)
    vectors_nd = np.concatenate(list(unit_blocks(rows)))[mask]
    inputs_n = _inputs(rows)[mask]
    parents = np.arange(len(numbers))
    for start in range(0, len(numbers), _BLOCK):
        block, own = vectors_nd[start : start + _BLOCK], inputs_n[start : start + _BLOCK]
        for other in range(start, len(numbers), _BLOCK):
            cosines = block @ vectors_nd[other : other + _BLOCK].T
            same = (cosines >= threshold - 1e-6) & (own[:, None] != inputs_n[None, other : other + _BLOCK])
            for one, two in zip(*np.nonzero(same), strict=True):
                _join(parents, start + int(one), other + int(two))
        if start:
            echo(f"compared {start:,} of {len(numbers):,} rows")
    return DuplicateGroups(_groups(rows, numbers, vectors_nd, parents), len(numbers))


def _inputs(rows: Rows) -> np.ndarray:
    """A number for each row, the same for rows of one id."""
    names: dict[str, int] = {}
    return np.array(
        [names.setdefault(i, len(names)) for b in batches(rows.parts, ["id"]) for i in b.column(0).to_pylist()]
    )


def _root(parents: np.ndarray, row: int) -> int:
    while parents[row] != row:
        parents[row] = parents[parents[row]]
        row = int(parents[row])
    return row


def _join(parents: np.ndarray, one: int, two: int) -> None:
    """Put two rows into one group, whose root is its first row."""
    first, second = sorted((_root(parents, one), _root(parents, two)))
    parents[second] = first


def _groups(rows: Rows, numbers: np.ndarray, vectors_nd: np.ndarray, parents: np.ndarray) -> list[list[FoundRow]]:
    members: dict[int, list[int]] = {}
    for row in range(len(parents)):
        members.setdefault(_root(parents, row), []).append(row)
    found = [group for group in members.values() if len(group) > 1]
    columns = iter(rows.take([int(numbers[row]) for group in found for row in group]))
    return [
        [
            FoundRow(place, round(float(vectors_nd[group[0]] @ vectors_nd[row]), 6), next(columns))
            for place, row in enumerate(group, start=1)
        ]
        for group in found
    ]
