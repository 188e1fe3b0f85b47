"""Something-Something v2: 220,847 clips of 174 classes, as WebM files (Goyal et al., ICCV 2017, arXiv:1706.04261).

The official layout, as distributed and as ``specvid data prepare something-v2`` makes it::

    labels/labels.json  train.json  validation.json     classes with their numbers, and entries with id and template
    20bn-something-something-v2/78687.webm

The lists may also have their first names, ``something-something-v2-labels.json`` and so on.
"""

import os
from pathlib import Path

from specvid.datasets.layouts.action_set import (
    ActionSet,
    VideoRecord,
    action_set,
    check_parts,
    files_by_stem,
    find_folder,
    published,
)
from specvid.datasets.layouts.base import check_split
from specvid.datasets.layouts.json_lists import read_entries, read_json

TITLE, CLASSES, TRAIN, VALIDATION = "Something-Something v2", 174, 168_913, 24_777
VIDEOS = "20bn-something-something-v2"

_LIST_FOLDERS = ("labels", ".", "annotations")


@action_set("something-v2")
def read_something_v2(root: str | os.PathLike[str], *, split: int = 1) -> ActionSet:
    """The one split: trained on the train list, tested on the validation list, since test labels are not published.

    Args:
        root: of the data set.
        split: 1.

    Returns:
        The split.

    Raises:
        ValueError: a wrong split, or lists that are missing, damaged or of other classes.
    """
    check_split(split, 1, TITLE)
    root = Path(root)
    lists = find_folder(root, _LIST_FOLDERS, "*labels.json", TITLE, "something-v2")
    prefix = "" if (lists / "labels.json").is_file() else "something-something-v2-"
    path = lists / f"{prefix}labels.json"
    content = read_json(path, f"{TITLE}'s list of classes")
    try:
        number_of = {str(name): int(number) for name, number in content.items()}
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise ValueError(f"{path} is no list of classes; expected {{'Unfolding something': '173', ...}}.") from None
    if sorted(number_of.values()) != list(range(len(number_of))) or not number_of:
        raise ValueError(f"{path}: the class numbers must run 0, 1, 2, ... without a gap.")
    found = files_by_stem(root / VIDEOS)
    parts = []
    for part in ("train", "validation"):
        path = lists / f"{prefix}{part}.json"
        records = []
        for entry in read_entries(path, f"one of {TITLE}'s official lists", ("id", "template")):
            clip, name = str(entry["id"]), str(entry["template"]).replace("[", "").replace("]", "")
            if name not in number_of:
                raise ValueError(f"{path}: clip {clip} has the class {name!r}, which {prefix}labels.json lacks.")
            records.append(VideoRecord(root / VIDEOS / found.get(clip, f"{clip}.webm"), clip, number_of[name]))
        parts.append(records)
    check_parts(parts, str(lists), by="name")
    classes = sorted(number_of, key=number_of.__getitem__)
    numbers = published(
        TITLE, classes=(len(classes), CLASSES), train=(len(parts[0]), TRAIN), test=(len(parts[1]), VALIDATION)
    )
    return ActionSet(classes=classes, train=parts[0], test=parts[1], **numbers)
