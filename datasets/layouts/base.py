"""What every data set has, whatever its layout."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from specvid.text import path_on_one_line

Counts = Mapping[str, tuple[int, int | None]]
"""What a data set is known by: {what: (how many here, how many published; None where nothing is published)}."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DataSet:
    """One split of a data set.

    Args:
        title: what to call it in a report, e.g. ``UCF-101 cut down to 5 of 101 classes``.
        split: number of the split, from 1.
        splits: how many there are.
        is_complete: all that was published is listed.
        is_cut_down: it is a part of the published set, so the published numbers cannot be its own.
        counts: what ``specvid data check`` compares with the published numbers.
        warnings: about its lists, a sentence each.
        source: resolved path of own data or of a part, as titles may be equal; "" where the title is enough.
    """

    title: str
    split: int = 1
    splits: int = 1
    is_complete: bool = False
    is_cut_down: bool = True
    counts: Counts = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()
    source: str = ""


def no_folder(path: str | os.PathLike[str], expected: str) -> ValueError:
    """The error for a path that is none of a data set: it may be mistyped, or be a file.

    Args:
        path: where the data set should lie.
        expected: what was expected there, e.g. ``the root of MARS``.

    Returns:
        The error, to be raised.
    """
    what = "is not a folder" if os.path.exists(path) else "does not exist"
    return ValueError(f"{path_on_one_line(path)} {what}; expected {expected}.")


def require_root(root: str | os.PathLike[str], title: str) -> None:
    """Check that there is a folder, before what is in it.

    Args:
        root: of the data set.
        title: the data set.

    Raises:
        ValueError: there is none.
    """
    if not os.path.isdir(root):
        raise no_folder(root, f"the root of {title}")


def check_split(split: int, splits: int, title: str) -> None:
    """Check the number of a split.

    Args:
        split: which one is asked for.
        splits: how many there are, numbered from 1.
        title: the data set.

    Raises:
        ValueError: there is no such split.
    """
    if not 1 <= split <= splits:
        has = "one split, 1" if splits == 1 else f"splits 1 to {splits}"
        raise ValueError(f"split = {split!r}: {title} has {has}.")
