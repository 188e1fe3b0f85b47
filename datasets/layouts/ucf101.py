"""UCF-101: 13,320 clips, 101 classes, three official splits (Soomro, Zamir, Shah 2012,
https://arxiv.org/abs/1212.0402).

The official layout, as distributed and as ``specvid data prepare ucf101`` makes it::

    ucfTrainTestlist/classInd.txt trainlist01.txt ... testlist03.txt
    videos/Class/v_Class_gXX_cYY.avi          (or UCF-101/Class/..., or Class/... right under the root)

Clips of one group gXX come from one original video: a group never stands on both sides of a split.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CLASSES = 101
CLIPS = 13_320
SPLITS = {1: (9_537, 3_783), 2: (9_586, 3_734), 3: (9_624, 3_696)}  # clips to train on, clips to test on

_VIDEO_FOLDERS = ("videos", "UCF-101", ".")
_LIST_FOLDERS = ("ucfTrainTestlist", "UCF101TrainTestSplits-RecognitionTask", "splits", ".")
_NAME = re.compile(r"v_(?P<label>\w+)_g(?P<group>\d{2,})_c(?P<clip>\d{2,})\.\w+")


@dataclass(frozen=True)
class VideoRecord:
    """One clip of a list. ``path``: the file, which may be missing; ``name``: as the list says it,
    ``Class/file.avi``; ``label``: from 0."""

    path: Path
    name: str
    label: int


class UCF101:
    """One side of one official split.

    ``records``: every clip that the list names, in the list's order, whether or not its file is there (a missing test
    clip is scored as wrong, so it must stay); ``missing``: those whose file is not there; ``classes``: names, in
    label order; ``is_whole``: all 101 classes with all clips listed; ``title``: what to call it in a report.
    Raises: ``ValueError`` for a wrong split, a folder that is not UCF-101, a list line that cannot be read, or a
    group on both sides.
    """

    def __init__(self, root: str | os.PathLike[str], *, split: int = 1, train: bool = True) -> None:
        if split not in SPLITS:
            raise ValueError(f"split = {split!r}: UCF-101 has splits 1, 2 and 3.")
        self.root, self.split, self.train = Path(root), split, train
        lists = find_lists(self.root)
        videos = find_videos(self.root)
        self.classes = read_classes(lists / "classInd.txt")
        sides = {side: read_list(lists / f"{side}list{split:02d}.txt", self.classes) for side in ("train", "test")}
        check_groups(sides["train"], sides["test"], f"split {split} of {self.root}")
        self.is_whole = len(self.classes) == CLASSES and tuple(map(len, sides.values())) == SPLITS[split]
        self.title = title(self.classes, self.is_whole)
        names = sides["train" if train else "test"]
        if not names:
            raise ValueError(f"{'train' if train else 'test'} list {split} in {lists} names no clips.")
        labels = {name: label for label, name in enumerate(self.classes)}
        self.records = [VideoRecord(videos / name, name, labels[name.split("/")[0]]) for name in names]

    @property
    def missing(self) -> list[VideoRecord]:
        """Records whose file is not there."""
        return [record for record in self.records if not record.path.is_file()]

    def __len__(self) -> int:
        return len(self.records)


def title(classes: list[str], is_whole: bool) -> str:
    """``UCF-101``, or what it is cut down to."""
    if is_whole:
        return "UCF-101"
    return (
        f"UCF-101 cut down to {len(classes)} of {CLASSES} classes"
        if len(classes) < CLASSES
        else "UCF-101 with fewer clips than the official lists"
    )


def find_lists(root: Path) -> Path:
    """The folder with the split lists."""
    _check_folder(root)
    for folder in _LIST_FOLDERS:
        if (root / folder / "classInd.txt").is_file():
            return root / folder
    raise ValueError(
        f"{root} has no split lists: expected {root / _LIST_FOLDERS[0] / 'classInd.txt'}. "
        f"`specvid data prepare ucf101` makes the official layout from the archives."
    )


def find_videos(root: Path) -> Path:
    """The folder with one folder of clips per class."""
    _check_folder(root)
    for folder in _VIDEO_FOLDERS[:-1]:
        if (root / folder).is_dir():
            return root / folder
    return root


def read_classes(path: Path) -> list[str]:
    """Class names in the order of their 1-based numbers (``1 ApplyEyeMakeup``); the numbers must run from 1 without a
    gap."""
    pairs = [line.split() for line in _lines(path)]
    if any(len(pair) != 2 or not pair[0].isdigit() for pair in pairs):
        wrong = next(" ".join(pair) for pair in pairs if len(pair) != 2 or not pair[0].isdigit())
        raise ValueError(f"{path}: line {wrong!r} is not a class; expected e.g. '1 ApplyEyeMakeup'.")
    if [int(number) for number, _ in pairs] != list(range(1, len(pairs) + 1)) or not pairs:
        raise ValueError(f"{path}: the class numbers must run 1, 2, 3, ... without a gap.")
    return [name for _, name in pairs]


def read_list(path: Path, classes: list[str]) -> list[str]:
    """Clip names ``Class/file.avi`` of a train or test list, each once; a label in the line must be that of the
    class."""
    numbers = {name: number for number, name in enumerate(classes, start=1)}
    names: list[str] = []
    for line in _lines(path):
        name, _, number = line.partition(" ")
        folder, _, file = name.partition("/")
        match = _NAME.fullmatch(file)
        if match is None:
            raise ValueError(f"{path}: line {line!r} names no clip; expected e.g. 'Archery/v_Archery_g01_c01.avi'.")
        if folder not in numbers:
            raise ValueError(f"{path}: line {line!r} names class {folder!r}, which is not in classInd.txt.")
        if number.strip() and number.strip() != str(numbers[folder]):
            raise ValueError(
                f"{path}: line {line!r} gives class {folder!r} the number {number.strip()}; "
                f"classInd.txt says {numbers[folder]}."
            )
        names.append(name)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{path}: {twice} is listed twice; every clip counts once.")
    return names


def group_of(name: str) -> str:
    """``Archery_g07`` for ``Archery/v_Archery_g07_c04.avi``."""
    folder, _, file = name.partition("/")
    match = _NAME.fullmatch(file)
    if match is None:
        raise ValueError(f"{name!r} is no UCF-101 clip; expected e.g. 'Archery/v_Archery_g01_c01.avi'.")
    return f"{folder}_g{match['group']}"


def check_groups(train: Iterable[str], test: Iterable[str], where: str) -> None:
    """``ValueError`` where a group stands on both sides: its clips are pieces of one video, and the score would be
    too good."""
    both = sorted({group_of(name) for name in train} & {group_of(name) for name in test})
    if both:
        raise ValueError(
            f"{where}: {len(both)} groups are in the train list and in the test list, e.g. {both[0]}; "
            "a group never crosses a split."
        )


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); it is one of UCF-101's official lists.") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        raise ValueError(
            f"{root} is not a folder; expected the root of UCF-101, with `videos/` and `ucfTrainTestlist/`."
        )
