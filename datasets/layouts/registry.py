"""All data sets by name. Importing this fills the two tables: a new layout is a file and a name in the import below."""

import os
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

from specvid.datasets.layouts import (  # noqa: F401 (they register)
    diving48,
    folders,
    hmdb51,
    ilids_vid,
    kinetics,
    mars,
    prid2011,
    something_v2,
    table,
    tracklets,
    twentybn,
    ucf101,
)
from specvid.datasets.layouts.action_set import ACTION_SETS, ActionSet
from specvid.datasets.layouts.reid_set import REID_SETS, ReidSet


def read_action(dataset: str, root: str | os.PathLike[str], *, split: int = 1, **options: Any) -> ActionSet:
    """A split of an action data set.

    Args:
        dataset: its name in `ACTION_SETS`.
        root: its folder, or table.
        split: number of the split, from 1.
        **options: of its own, as the function that reads it takes them; those that are "", 0 or None are not given.

    Returns:
        The split. A complete published set is known by its title, wherever it lies; any other also by its path, in the
        field ``source``.

    Raises:
        ValueError: another name, an option that it does not have, or whatever does not fit in the folder.
    """
    read = ACTION_SETS.find(dataset)
    given = {name: value for name, value in options.items() if value}
    for name, value in given.items():
        if name not in signature(read).parameters:
            raise ValueError(
                f"{name} {value!r} is no option of the data set {dataset!r}, which brings its own: leave it out."
            )
    data = read(root, split=split, **given)
    return data if data.is_complete else replace(data, source=str(Path(root).resolve()))


def read_reid(dataset: str, root: str | os.PathLike[str], *, split: int = 1) -> ReidSet:
    """A split of a re-ID data set.

    Args:
        dataset: its name in `REID_SETS`.
        root: its folder, or table.
        split: number of the split, from 1.

    Returns:
        The split. A complete published set is known by its title, wherever it lies; any other also by its path, in the
        field ``source``.

    Raises:
        ValueError: another name, or whatever does not fit in the folder.
    """
    data = REID_SETS.find(dataset)(root, split=split)
    return data if data.is_complete else replace(data, source=str(Path(root).resolve()))
