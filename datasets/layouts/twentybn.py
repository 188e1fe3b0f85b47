"""20BN's first data sets, whose lists are lines: Something-Something v1 and Jester, clips as frames.

Something-Something v1 has 108,499 clips of 174 classes (Goyal et al., ICCV 2017, arXiv:1706.04261). Jester v1 has
148,092 clips of 27 hand gestures (Materzynska et al., ICCV workshops 2019). The official layouts, as distributed and as
``specvid data prepare something-v1`` and ``specvid data prepare jester`` make them::

    something-something-v1-labels.csv  -train.csv  -validation.csv    classes, and lines "100218;Unfolding something"
    20bn-something-something-v1/100218/00001.jpg                      frames of a clip

    jester-v1-labels.csv  -train.csv  -validation.csv                 classes, and lines "34870;Drumming Fingers"
    20bn-jester-v1/34870/00001.jpg                                    frames of a clip
"""

import os
from dataclasses import dataclass
from pathlib import Path

from specvid.datasets.layouts.action_set import (
    ActionSet,
    VideoRecord,
    action_set,
    check_parts,
    files_by_stem,
    find_folder,
    published,
    read_lines,
)
from specvid.datasets.layouts.base import check_split

_LIST_FOLDERS = (".", "annotations", "labels")


@dataclass(frozen=True)
class _TwentyBN:
    """A data set, and the published numbers of its classes and clips; ``prefix`` begins the names of its lists."""

    dataset: str
    title: str
    prefix: str
    classes: int
    train: int
    validation: int


_SOMETHING_V1 = _TwentyBN("something-v1", "Something-Something v1", "something-something-v1", 174, 86_017, 11_522)
_JESTER = _TwentyBN("jester", "Jester", "jester-v1", 27, 118_562, 14_787)


@action_set("something-v1")
def read_something_v1(root: str | os.PathLike[str], *, split: int = 1) -> ActionSet:
    """Something-Something v1, trained on the train list and tested on the validation list: test labels are unpublished.

    Args:
        root: of the data set.
        split: 1.

    Returns:
        The split.

    Raises:
        ValueError: a wrong split, or lists that are missing or damaged.
    """
    return _read(Path(root), _SOMETHING_V1, split)


@action_set("jester")
def read_jester(root: str | os.PathLike[str], *, split: int = 1) -> ActionSet:
    """Jester v1, trained on the train list and tested on the validation list: test labels are unpublished.

    Args:
        root: of the data set.
        split: 1.

    Returns:
        The split.

    Raises:
        ValueError: a wrong split, or lists that are missing or damaged.
    """
    return _read(Path(root), _JESTER, split)


def _read(root: Path, kind: _TwentyBN, split: int) -> ActionSet:
    """The one split; ValueError for a missing list, a line that is no clip, or a class that is not listed."""
    check_split(split, 1, kind.title)
    lists = find_folder(root, _LIST_FOLDERS, f"{kind.prefix}-labels.csv", kind.title, kind.dataset)
    classes = read_lines(lists / f"{kind.prefix}-labels.csv", f"{kind.title}'s list of classes")
    label_of = {name: label for label, name in enumerate(classes)}
    folder = root / f"20bn-{kind.prefix}"
    found = files_by_stem(folder)
    parts = []
    for part in ("train", "validation"):
        path = lists / f"{kind.prefix}-{part}.csv"
        records, seen = [], set()
        for line in read_lines(path, f"one of {kind.title}'s official lists"):
            clip, _, name = line.partition(";")
            if not clip.isdecimal() or not name:
                raise ValueError(f"{path}: line {line!r} is no clip; expected e.g. '100218;Unfolding something'.")
            if name not in label_of:
                raise ValueError(f"{path}: line {line!r} names a class that is not in {kind.prefix}-labels.csv.")
            if clip in seen:
                raise ValueError(f"{path}: clip {clip} is listed twice; every clip counts once.")
            seen.add(clip)
            records.append(VideoRecord(folder / found.get(clip, clip), clip, label_of[name]))
        parts.append(records)
    check_parts(parts, str(lists), by="name")
    train, test = parts
    numbers = published(
        kind.title,
        classes=(len(classes), kind.classes),
        train=(len(train), kind.train),
        test=(len(test), kind.validation),
    )
    return ActionSet(classes=classes, train=train, test=test, **numbers)
