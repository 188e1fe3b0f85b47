"""Identities, cameras and flags of tracklets, as anybody writes them: numbers, letters, names, true and false."""

from dataclasses import dataclass
from typing import Any

import numpy as np

_FLAGS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


@dataclass(frozen=True)
class Labels:
    """One label for each query and each gallery tracklet, as integers that are equal where the labels are.

    Attributes:
        query: (Q,) int64 codes.
        gallery: (G,) int64 codes.
        names: the label of each code, sorted.
    """

    query: np.ndarray
    gallery: np.ndarray
    names: np.ndarray

    def code(self, name: object) -> int:
        """The code of a label.

        Args:
            name: the label; ``-1`` and ``"-1"`` are the same.

        Returns:
            Its code, -1 where it does not occur.
        """
        found = np.flatnonzero(self.names.astype(str) == str(name))
        return int(found[0]) if len(found) else -1


def as_labels(values: Any, count: int, what: str) -> np.ndarray:
    """Labels as an int64 or str array.

    Args:
        values: list, array or tensor of integers or of strings.
        count: how many there must be.
        what: what they are, for the error ("query ids").

    Returns:
        (count,) labels.

    Raises:
        ValueError: another number of labels, missing ones, fractions, or numbers and strings mixed.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    if isinstance(values, list | tuple) and len({isinstance(value, str) for value in values}) > 1:
        raise ValueError(f"{what} mix numbers and strings; write all of them the same way")
    labels = np.asarray(values)
    if labels.ndim != 1 or len(labels) != count:
        raise ValueError(f"{what} have shape {labels.shape}; there must be one for each of the {count} feature rows")
    if labels.dtype.kind == "O":
        missing = [i for i, value in enumerate(labels) if value is None or value != value]
        if missing:
            raise ValueError(
                f"{what}: {len(missing)} are missing (the first is row {missing[0]}); every tracklet needs one"
            )
        given = labels.tolist()
        if any(isinstance(value, str) for value in given):
            return as_labels(given, count, what)  # all of them are, or the mixture is an error
        try:
            labels = np.array(given, np.int64)
        except (TypeError, ValueError, OverflowError):
            odd = next((value for value in given if not isinstance(value, int)), max(given, default=0))
            raise ValueError(f"{what} hold {str(odd)[:60]!r}; they must be integers or strings") from None
    if labels.dtype.kind == "f":
        if not (np.isfinite(labels).all() and (labels == np.round(labels)).all()):
            raise ValueError(f"{what} hold fractions or NaN; they must be integers or strings")
        labels = labels.astype(np.int64)
    if labels.dtype.kind in "iub":
        return labels.astype(np.int64)
    if labels.dtype.kind == "S":
        return np.char.decode(labels, "utf-8")
    if labels.dtype.kind == "U":
        return labels
    raise ValueError(f"{what} are of type {labels.dtype}; they must be integers or strings")


def as_flags(values: Any, count: int, what: str) -> np.ndarray:
    """Yes or no for each row of a table, as anybody writes it.

    Args:
        values: booleans, 1 and 0, or the words true and false in any case.
        count: how many there must be.
        what: the column, for the error ("is_query").

    Returns:
        (count,) bool.

    Raises:
        ValueError: another number of them, a missing one, or anything else (``bool("False")`` would be true).
    """
    flags = np.asarray(values)
    if flags.shape != (count,):
        raise ValueError(f"{what} has shape {flags.shape}; there must be one for each of the {count} feature rows")
    if flags.dtype.kind == "b":
        return flags
    words = [str(value) for value in (np.char.decode(flags, "utf-8") if flags.dtype.kind == "S" else flags).tolist()]
    found = [_FLAGS.get(word.strip().lower()) for word in words]
    wrong = [row for row, flag in enumerate(found) if flag is None]
    if wrong:
        raise ValueError(
            f"{what} is {words[wrong[0]]!r} in row {wrong[0]} ({len(wrong)} such rows); it must be true or false, or 1 "
            "or 0, in each"
        )
    return np.array(found, bool)


def encode(query: Any, gallery: Any, queries: int, items: int, what: str) -> Labels:
    """Codes for the labels of queries and gallery together.

    Args:
        query: (Q,) labels, as ``as_labels`` takes them.
        gallery: (G,) labels.
        queries: Q.
        items: G.
        what: "ids" or "cameras", for the error.

    Raises:
        ValueError: as ``as_labels``, or numbers on one side and strings on the other.
    """
    query_labels = as_labels(query, queries, f"query {what}")
    gallery_labels = as_labels(gallery, items, f"gallery {what}")
    if query_labels.dtype.kind != gallery_labels.dtype.kind:
        kinds = ["numbers" if labels.dtype.kind == "i" else "strings" for labels in (query_labels, gallery_labels)]
        raise ValueError(f"query {what} are {kinds[0]} and gallery {what} {kinds[1]}; write both the same way")
    names, codes = np.unique(np.concatenate([query_labels, gallery_labels]), return_inverse=True)
    codes = codes.reshape(-1).astype(np.int64)
    return Labels(query=codes[:queries], gallery=codes[queries:], names=names)
