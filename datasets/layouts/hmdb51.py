"""HMDB-51: 51 classes, three official splits of 70 clips to train on and 30 to test on of each class (Kuehne et al.,
ICCV 2011).

The official layout, as distributed and as ``specvid data prepare hmdb51`` makes it::

    testTrainMulti_7030_splits/brush_hair_test_split1.txt ...    lines "NAME.avi 1": 1 trains, 2 tests, 0 is not used
    hmdb51_org/brush_hair/NAME.avi
"""

import os
from pathlib import Path

from specvid.datasets.layouts.action_set import ActionSet, VideoRecord, action_set, find_folder, published, read_lines
from specvid.datasets.layouts.base import check_split

TITLE, CLASSES, SPLITS, TRAIN, TEST = "HMDB-51", 51, 3, 3_570, 1_530

_LIST_FOLDERS = ("testTrainMulti_7030_splits", "splits", "split/testTrainMulti_7030_splits", "annotations", ".")
_VIDEO_FOLDERS = ("hmdb51_org", "videos")


@action_set("hmdb51")
def read_hmdb51(root: str | os.PathLike[str], *, split: int = 1) -> ActionSet:
    """One of the three official splits, or that split of a part of the classes.

    Args:
        root: of the data set.
        split: 1, 2 or 3.

    Returns:
        The split. Clips of a group are cut from one film, which the first part of their names identifies.

    Raises:
        ValueError: a wrong split, a folder that is not HMDB-51, or a list line that cannot be read.
    """
    check_split(split, SPLITS, TITLE)
    root = Path(root)
    ending = f"_test_split{split}.txt"
    lists = find_folder(root, _LIST_FOLDERS, f"*{ending}", TITLE, "hmdb51")
    videos = next((root / name for name in _VIDEO_FOLDERS if (root / name).is_dir()), root)
    # Of any split, so that a class whose list of this split is missing is not left out without a word.
    classes = sorted({path.name.rpartition("_test_split")[0] for path in lists.glob("*_test_split[123].txt")})
    sides: dict[str, list[VideoRecord]] = {"0": [], "1": [], "2": []}
    for label, name in enumerate(classes):
        path = lists / f"{name}{ending}"
        seen: set[str] = set()
        for line in read_lines(path, "one of HMDB-51's official lists"):
            file, _, side = line.rpartition(" ")
            file = file.strip()
            if side not in sides or not file:
                raise ValueError(f"{path}: line {line!r} is no clip; expected e.g. 'NAME.avi 1' (0, 1 or 2).")
            if file in seen:
                raise ValueError(f"{path}: {file} is listed twice; every clip counts once.")
            seen.add(file)
            group = file.partition(f"_{name}_")[0]
            sides[side].append(VideoRecord(videos / name / file, f"{name}/{file}", label, f"{name}/{group}"))
    train, test = sides["1"], sides["2"]
    about = published(
        TITLE, classes=(len(classes), CLASSES), train=(len(train), TRAIN), test=(len(test), TEST), split=split
    )
    return ActionSet(split=split, splits=SPLITS, classes=classes, train=train, test=test, **about)
