"""Own re-ID data: a folder of tracklets, or a table (CSV or Parquet) that names each frame.

A folder::

    train/PERSON/CAMERA/TRACKLET/*.jpg      or without the level TRACKLET: one tracklet for each identity and camera
    query/...  gallery/...                  or test/...: every tracklet asks, and every tracklet answers

A table, one row a frame: ``path`` (relative to the table's folder), ``pid``, ``camid``; and if there are such,
``tracklet``, ``track`` or ``track_id`` (several tracklets of an identity in a camera), ``frame`` (a number to sort by;
else the order is that of the file names) and ``set`` (train, query, gallery or test; without it every row is test).

Identities and cameras may be any numbers or names. Scores follow the protocol ``cross-camera``.
"""

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from specvid.datasets.layouts import tables
from specvid.datasets.layouts.base import check_split
from specvid.datasets.layouts.media import folders_in, images_in
from specvid.datasets.layouts.reid_set import (
    Identity,
    ReidSet,
    Tracklet,
    check_disjoint,
    count_identities,
    natural_key,
    reid_set,
)

SETS = ("train", "query", "gallery", "test")
COLUMNS = ("path", "pid", "camid")
TRACKLET_COLUMNS = ("tracklet", "track", "track_id")
HOW_TO_TRAIN = "In a table the column `set` says what is train, query, gallery or test; without it all is test."

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")  # of 64 bits


@reid_set("tracklets")
def read_tracklets(root: str | os.PathLike[str], *, split: int = 1) -> ReidSet:
    """The data set of a folder, or of a ``.csv``, ``.tsv`` or ``.parquet`` table.

    Args:
        root: the folder or the table.
        split: 1.

    Returns:
        The split.

    Raises:
        ValueError: a split other than 1, a missing folder, column or value, or nothing to test on.
    """
    check_split(split, 1, "own data")
    root = Path(root)
    if root.is_dir():
        parts = read_folder(root)
    elif root.is_file() and root.suffix.lower() in tables.SUFFIXES:
        parts = read_table(root)
    else:
        what = "is neither a folder nor a table" if root.exists() else "does not exist; expected a folder or a table"
        raise ValueError(f"{root} {what} ({', '.join(tables.SUFFIXES)})")
    test = [*parts["query"], *parts["gallery"], *parts["test"]]
    queries, items, both = (len(parts[name]) for name in ("query", "gallery", "test"))
    last = np.arange(queries + items, queries + items + both)
    if not test or not (queries or both) or not (items or both):
        raise ValueError(
            f"{root} has {queries} query, {items} gallery and {both} test tracklets; scoring needs queries "
            "and a gallery (query and gallery, or test for both)"
        )
    check_disjoint(parts["train"], test, str(root))
    train = tuple(parts["train"])
    return ReidSet(
        title=root.name,
        protocol="cross-camera",
        train=train,
        test=tuple(test),
        query=np.concatenate([np.arange(queries), last]),
        gallery=np.concatenate([np.arange(queries, queries + items), last]),
        counts={
            "tracklets to train on": (len(train), None),
            "identities to train on": (count_identities(train), None),
            "queries": (queries + both, None),
            "gallery": (items + both, None),
            "cameras": (len({tracklet.camid for tracklet in (*train, *test)}), None),
        },
    )


def read_folder(root: Path) -> dict[str, list[Tracklet]]:
    """Read tracklets from folders.

    Args:
        root: of the data set.

    Returns:
        The tracklets of each of ``SETS``.

    Raises:
        ValueError: there is none of them.
    """
    parts: dict[str, list[Tracklet]] = {name: [] for name in SETS}
    for part in SETS:
        for identity in _folders(root / part):
            for camera in _folders(identity):
                inner = _folders(camera)
                for folder in inner or [camera]:
                    frames = images_in(folder)
                    name = folder.relative_to(root).as_posix()
                    parts[part].append(Tracklet(name, identity.name, camera.name, folder, frames))
    if not any(parts.values()):
        raise ValueError(f"{root} has none of the folders {', '.join(SETS)} with PERSON/CAMERA/*.jpg in it")
    return parts


def read_table(path: Path) -> dict[str, list[Tracklet]]:
    """Read tracklets from a table.

    Args:
        path: of the table.

    Returns:
        The tracklets of each of ``SETS``.

    Raises:
        ValueError: a row lacks something or contradicts others.
    """
    rows = _rows(path)
    frames: dict[tuple[str, Identity, Identity, Identity], list[tuple[Any, str]]] = defaultdict(list)
    for number, row in enumerate(rows, start=1):
        values: list[Any] = [row.get(column) for column in COLUMNS]
        if any(value is None or value == "" for value in values):
            raise ValueError(f"{path}, row {number}: {', '.join(COLUMNS)} must all be given, it has {values}")
        part = str(row.get("set") or "test")
        if part not in SETS:
            raise ValueError(f"{path}, row {number}: set {part!r} is none of {', '.join(SETS)}")
        name, pid, camid = values
        tracklet: Any = next((row[name] for name in TRACKLET_COLUMNS if row.get(name) is not None), None)
        frame = row.get("frame")
        key = (part, pid, camid, "" if tracklet is None else tracklet)
        frames[key].append((_frame_number(frame, path, number), _on_this_disk(path.parent, str(name))))
    parts: dict[str, list[Tracklet]] = {name: [] for name in SETS}
    for (part, pid, camid, tracklet), own in frames.items():
        if len({number is None for number, _ in own}) > 1:
            raise ValueError(
                f"{path}: identity {pid}, camera {camid}, tracklet {tracklet!r} has frame numbers in some rows only"
            )
        numbered = own[0][0] is not None
        own.sort(key=(lambda item: item[0]) if numbered else (lambda item: natural_key(item[1])))
        title = "/".join(str(value) for value in (part, pid, camid, tracklet) if value != "")
        parts[part].append(Tracklet(title, pid, camid, path.parent, tuple(name for _, name in own)))
    return parts


def _on_this_disk(folder: Path, name: str) -> str:
    """A path with backslashes, as Windows writes it, with slashes; unless there is a file of that very name."""
    return name.replace("\\", "/") if "\\" in name and not (folder / name).exists() else name


def _folders(folder: Path) -> list[Path]:
    """Folders inside, in natural order; none where there is no such folder."""
    return [folder / name for name in sorted(folders_in(folder), key=natural_key)]


def _frame_number(value: Any, path: Path, row: int) -> float | None:
    """A frame number as something to sort by; None where there is none."""
    if value is None or value == "":
        return None
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{path}, row {row}: frame {value!r} is no number") from None


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table; in text, a column of whole numbers only becomes numbers."""
    rows = tables.read_table(path, COLUMNS, (*TRACKLET_COLUMNS, "frame", "set"))
    for column in ("pid", "camid", *TRACKLET_COLUMNS) if path.suffix.lower() != ".parquet" else ():
        if all(_is_integer(row.get(column)) for row in rows):
            for row in rows:
                row[column] = int(row[column])
    return rows


def _is_integer(value: Any) -> bool:
    """A whole number that is written as one: ``0012`` is a name."""
    return _INTEGER.fullmatch(str(value)) is not None
