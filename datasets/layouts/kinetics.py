"""Kinetics-400, -600 and -700: clips of 10 s from YouTube (Kay et al. 2017, arXiv:1705.06950; 1808.01340; 1907.06987).

The lists, in the root or in ``annotations/``, are either the official ones::

    train.csv  val.csv  (test.csv)      label,youtube_id,time_start,time_end,split; any name with train, val, test in it
    CLASS/0wR5jVB-WPk_000417_000427.mp4      anywhere below the root: ID_START_END.mp4 or ID.mp4

or lists of files, as many code bases keep them::

    train.txt  val.txt                  lines "path label"; paths below the root, or below the folder of the first file
    classes.txt                         a class a line; without it the folders of the files name them, or their numbers

Videos vanish from YouTube, so nobody has all that the official lists name: clips whose file is not there are left out,
the title says how many, and a figure is one over the clips that are there.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from specvid.datasets.layouts.action_set import ActionSet, VideoRecord, action_set, check_parts, find_folder, read_lines
from specvid.datasets.layouts.base import Counts, check_split
from specvid.datasets.layouts.media import VIDEOS, is_hidden, walk
from specvid.datasets.layouts.tables import read_text_table
from specvid.datasets.layouts.text import NameFinder, split_label
from specvid.reading import read_plain

PUBLISHED = {400: 306_245, 600: 495_547, 700: 650_317}  # clips of all parts as first published, by number of classes

_LIST_FOLDERS = ("annotations", ".")
_WHAT = "one of the lists of Kinetics"
_LABEL_DIGITS = 5  # each number up to the highest label is a class


@action_set("kinetics")
def read_kinetics(root: str | os.PathLike[str], *, split: int = 1) -> ActionSet:
    """The one split: trained on the train list, tested on the validation list, as is usual.

    Args:
        root: of the data set.
        split: 1.

    Returns:
        The split.

    Raises:
        ValueError: a wrong split, lists that are missing or damaged, or none of the files is there.
    """
    check_split(split, 1, "Kinetics")
    root = Path(root)
    what = "a list with train in its name (train.csv, or train.txt of lines 'path label')"
    lists = find_folder(root, _LIST_FOLDERS, "*train*.[ct][sx][vt]", "Kinetics", what=what)
    train, val = (_list(lists, part) for part in ("train", "val"))
    assert train is not None
    if val is None:
        raise ValueError(f"{lists} has no list with val in its name; it is {_WHAT}.")
    if _is_official(train):
        return _from_csv(root, lists, train, val)
    return _from_paths(root, lists, train, val)


def _from_csv(root: Path, lists: Path, train: Path, val: Path) -> ActionSet:
    """From the official lists."""
    rows = {"train": list(_rows(train)), "val": list(_rows(val))}
    classes = sorted({label for part in rows.values() for label, _, _ in part})
    label_of = {name: label for label, name in enumerate(classes)}
    found = _videos(root)
    parts = []
    for part in rows.values():
        there = [(label, clip, video) for label, clip, video in part if clip in found or video in found]
        parts.append(
            [VideoRecord(found.get(clip) or found[video], clip, label_of[label], video) for label, clip, video in there]
        )
    check_parts(parts, str(lists), by="name")
    for (name, listed), present in zip(rows.items(), parts, strict=True):
        if not present:
            raise ValueError(f"{root}: none of the {len(listed):,} clips of the {name} list is there.")
    title = f"Kinetics-{len(classes)}" if len(classes) in PUBLISHED else f"Kinetics, {len(classes)} classes"
    counts: Counts = {
        "classes": (len(classes), None),
        "clips of the train list that are there": (len(parts[0]), None),
        "clips of the validation list that are there": (len(parts[1]), None),
        "clips in the train list": (len(rows["train"]), None),
        "clips in the validation list": (len(rows["val"]), None),
    }
    if (test := _list(lists, "test")) is not None:
        total = sum(map(len, rows.values())) + sum(1 for _ in _rows(test, labels=False))
        counts = {**counts, "clips in all lists": (total, PUBLISHED.get(len(classes)))}
    absent = [len(listed) - len(present) for listed, present in zip(rows.values(), parts, strict=True)]
    if any(absent):
        title += f" without {absent[0]:,} training and {absent[1]:,} validation clips that are not there"
    return ActionSet(title=title, classes=classes, train=parts[0], test=parts[1], counts=counts)


def _from_paths(root: Path, lists: Path, train: Path, val: Path) -> ActionSet:
    """From lists of files and labels. Nothing is left out: a file that is listed was once there."""
    parts = [_path_records(root, lists, path) for path in (train, val)]
    check_parts(parts, str(lists), by="name")
    highest = max(record.label for part in parts for record in part)
    names = lists / "classes.txt"
    if names.is_file():
        classes = read_lines(names, "the list of classes")
        if len(classes) <= highest:
            raise ValueError(
                f"{names} has {len(classes)} classes, but the lists have label {highest}; labels are from 0."
            )
    else:
        folders = {record.label: set[str]() for part in parts for record in part}
        for record in (record for part in parts for record in part):
            folders[record.label].add(record.path.parent.name)
        is_named = all(len(own) == 1 for own in folders.values()) and len(set.union(*folders.values())) == len(folders)
        classes = [min(folders[label]) if is_named and label in folders else str(label) for label in range(highest + 1)]
    counts = {
        "classes": (len(classes), None),
        "clips to train on": (len(parts[0]), None),
        "clips to test on": (len(parts[1]), None),
    }
    return ActionSet(
        title=f"Kinetics, {len(classes)} classes", classes=classes, train=parts[0], test=parts[1], counts=counts
    )


def _path_records(root: Path, lists: Path, path: Path) -> list[VideoRecord]:
    """The clips of a list of files; its paths begin below the first folder in which its first file is there."""
    lines = read_lines(path, _WHAT)
    if not lines:
        raise ValueError(f"{path} names no clips.")
    pairs = [_path_and_label(line) for line in lines]
    wrong = next((line for line, (_, label) in zip(lines, pairs, strict=True) if not label.isdecimal()), "")
    if wrong:
        raise ValueError(f"{path}: line {wrong!r} is no clip; expected e.g. 'train/archery/0wR5jVB-WPk.mp4 5'.")
    high = next((line for line, (_, label) in zip(lines, pairs, strict=True) if len(label) > _LABEL_DIGITS), "")
    if high:
        raise ValueError(f"{path}: line {high[-80:]!r} has no number of a class at its end; they are counted from 0.")
    part = "train" if "train" in path.name else "val"
    bases = [root / base for base in (".", part, f"videos_{part}", "videos")] + [lists]
    first = pairs[0][0]
    finder = NameFinder(next((base for base in bases if os.path.exists(NameFinder(base).find(first))), root))
    return [VideoRecord(Path(finder.find(name)), name, int(label)) for name, label in pairs]


def _path_and_label(line: str) -> tuple[str, str]:
    """``a b.mp4 3`` and ``a b.mp4,3`` as a path and a label; the label is "" where there is none."""
    name, label = split_label(line)
    if not label and "," in name:
        name, _, label = (text.strip() for text in name.rpartition(","))
    return name.replace("\\", "/"), label


def _list(lists: Path, part: str) -> Path | None:
    """The list of a part, by its name; an official one before others."""
    found = sorted(path for path in lists.iterdir() if part in path.name and path.suffix in (".csv", ".txt"))
    return next((path for path in found if _is_official(path)), found[0] if found else None)


def _is_official(path: Path) -> bool:
    """Whether a list has the official columns."""
    return b"youtube_id" in read_plain(path).partition(b"\n")[0]


def _rows(path: Path, *, labels: bool = True) -> Iterator[tuple[str, str, str]]:
    """(class, name of the clip's file without suffix, id of its video) of each row of an official list."""
    needed = ("label", "youtube_id", "time_start", "time_end")[0 if labels else 1 :]
    seen: set[str] = set()
    for number, row in enumerate(read_text_table(path)[0], start=2):
        missing = [column for column in needed if not row.get(column)]
        if missing:
            raise ValueError(f"{path}, line {number}: lacks {', '.join(missing)}; it is {_WHAT}.")
        try:
            start, end = int(float(row["time_start"])), int(float(row["time_end"]))
        except (ValueError, OverflowError):
            raise ValueError(f"{path}, line {number}: time_start and time_end must be seconds.") from None
        clip = f"{row['youtube_id']}_{start:06d}_{end:06d}"
        if clip in seen:
            raise ValueError(f"{path}, line {number}: {clip} is listed twice; every clip counts once.")
        seen.add(clip)
        yield row.get("label") or "", clip, row["youtube_id"]


def _videos(root: Path) -> dict[str, Path]:
    """All video files below the root, by their names without suffix."""
    found = {}
    for folder, names, files in walk(root):
        names[:] = sorted(name for name in names if not is_hidden(name))
        for file in files:
            stem, suffix = os.path.splitext(file)
            if suffix.lower() in VIDEOS and not is_hidden(file):
                found[stem] = Path(folder, file)
    return found
