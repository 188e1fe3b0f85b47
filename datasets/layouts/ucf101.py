"""UCF-101: 13,320 clips, 101 classes, three official splits (Soomro, Zamir, Shah 2012, arXiv:1212.0402).

The official layout, as distributed and as ``specvid data prepare ucf101`` makes it::

    ucfTrainTestlist/classInd.txt trainlist01.txt ... testlist03.txt
    videos/Class/v_Class_gXX_cYY.avi          (or UCF-101/Class/..., or Class/... right under the root)

Clips of one group gXX come from one original video: a group never stands on both sides of a split.
"""

import os
import re
from pathlib import Path

from specvid.datasets.layouts.action_set import (
    ActionSet,
    VideoRecord,
    action_set,
    check_parts,
    find_folder,
    published,
    read_lines,
)
from specvid.datasets.layouts.base import check_split
from specvid.datasets.layouts.text import NameFinder, split_label

TITLE, CLASSES, CLIPS = "UCF-101", 101, 13_320
SPLITS = {1: (9_537, 3_783), 2: (9_586, 3_734), 3: (9_624, 3_696)}  # clips to train on, clips to test on

_VIDEO_FOLDERS = ("videos", "UCF-101")
_LIST_FOLDERS = ("ucfTrainTestlist", "UCF101TrainTestSplits-RecognitionTask", "splits", ".")
_NAME = re.compile(r"v_(?P<label>.+)_g(?P<group>\d{2,})_c(?P<clip>\d{2,})\.\w+")
_NUMBER = re.compile(r"\d{1,9}")
_LIST = "one of UCF-101's official lists"


@action_set("ucf101")
def read_ucf101(root: str | os.PathLike[str], *, split: int = 1) -> ActionSet:
    """One of the three official splits, or that split of a part of the classes.

    Args:
        root: of the data set.
        split: 1, 2 or 3.

    Returns:
        The split.

    Raises:
        ValueError: a wrong split, a folder that is not UCF-101, an unreadable list line, or a group on both sides.
    """
    check_split(split, len(SPLITS), TITLE)
    root = Path(root)
    lists = find_folder(root, _LIST_FOLDERS, "classInd.txt", TITLE, "ucf101")
    videos = next((root / name for name in _VIDEO_FOLDERS if (root / name).is_dir()), root)
    classes = read_classes(lists / "classInd.txt")
    sides, finder = [], NameFinder(videos)
    for side in ("train", "test"):
        path = lists / f"{side}list{split:02d}.txt"
        names = read_list(path, classes)
        if not names:
            raise ValueError(f"{path} names no clips.")
        labels = {name.lower(): label for label, name in enumerate(classes)}
        sides.append(
            [
                VideoRecord(Path(finder.find(name)), name, labels[name.split("/")[0].lower()], group_of(name))
                for name in names
            ]
        )
    train, test = sides
    check_parts(sides, f"split {split} of {root}")
    about = published(
        TITLE,
        classes=(len(classes), CLASSES),
        train=(len(train), SPLITS[split][0]),
        test=(len(test), SPLITS[split][1]),
        split=split,
    )
    return ActionSet(
        split=split, splits=len(SPLITS), classes=classes, train=train, test=test, warnings=finder.warnings(), **about
    )


def read_classes(path: Path) -> list[str]:
    """Class names in the order of their numbers.

    Args:
        path: of ``classInd.txt``, with lines such as ``1 ApplyEyeMakeup``.

    Returns:
        The names.

    Raises:
        ValueError: another kind of line, or numbers that do not run from 1 without a gap.
    """
    pairs = [line.split(maxsplit=1) for line in read_lines(path, _LIST)]
    wrong = next((" ".join(pair) for pair in pairs if len(pair) != 2 or not _NUMBER.fullmatch(pair[0])), "")
    if wrong:
        raise ValueError(f"{path}: line {wrong!r} is not a class; expected e.g. '1 ApplyEyeMakeup'.")
    if len({name.lower() for _, name in pairs}) < len(pairs):
        raise ValueError(f"{path}: two classes have the same name, but for capitals.")
    if [int(number) for number, _ in pairs] != list(range(1, len(pairs) + 1)) or not pairs:
        raise ValueError(f"{path}: the class numbers must run 1, 2, 3, ... without a gap.")
    return [name for _, name in pairs]


def read_list(path: Path, classes: list[str]) -> list[str]:
    """Clip names ``Class/file.avi`` of a train or test list, each once.

    Args:
        path: of the list.
        classes: their names in order; a label in a line must be the number of its class.

    Returns:
        The names.

    Raises:
        ValueError: a line that is no clip, of an unknown class, with a wrong label, or listed twice.
    """
    numbers = {name.lower(): number for number, name in enumerate(classes, start=1)}
    names: list[str] = []
    for line in read_lines(path, _LIST):
        name, number = split_label(line)
        name = name.replace("\\", "/")
        folder, _, file = name.partition("/")
        if _NAME.fullmatch(file) is None:
            raise ValueError(f"{path}: line {line!r} names no clip; expected e.g. 'Archery/v_Archery_g01_c01.avi'.")
        if folder.lower() not in numbers:
            raise ValueError(f"{path}: line {line!r} names class {folder!r}, which is not in classInd.txt.")
        if number and number != str(numbers[folder.lower()]):
            raise ValueError(
                f"{path}: line {line!r} gives class {folder!r} the number {number}; "
                f"classInd.txt says {numbers[folder.lower()]}."
            )
        names.append(f"{classes[numbers[folder.lower()] - 1]}/{file}")  # a group is a group, whatever the capitals
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path}: {twice} is listed twice; every clip counts once.")
    return names


def group_of(name: str) -> str:
    """The original video that a clip was cut from.

    Args:
        name: of the clip, e.g. ``Archery/v_Archery_g07_c04.avi``.

    Returns:
        Class and group, e.g. ``Archery_g07``.

    Raises:
        ValueError: another kind of name.
    """
    folder, _, file = name.partition("/")
    match = _NAME.fullmatch(file)
    if match is None:
        raise ValueError(f"{name!r} is no UCF-101 clip; expected e.g. 'Archery/v_Archery_g01_c01.avi'.")
    return f"{folder}_g{match['group']}"
