"""Diving48: dives of 48 kinds, each cut from the video of a competition (Li, Li, Vasconcelos, ECCV 2018).

The official layout, as distributed and as ``specvid data prepare diving48`` makes it::

    Diving48_vocab.json     the classes, each as [take-off, somersaults, twists, position]
    Diving48_V2_train.json  Diving48_V2_test.json     entries with vid_name and label; V2 has the labels of 2020
    rgb/2x00lRzlTVQ_00000.mp4

The lists of 2018 (``Diving48_train.json``, ``Diving48_test.json``) are read where those of V2 are not there.
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

CLASSES = 48
COUNTS = {"Diving48 V2": (15_027, 1_970), "Diving48": (16_067, 2_337)}  # clips to train on, clips to test on

_LIST_FOLDERS = (".", "annotations")
_VIDEO_FOLDERS = ("rgb", "videos")


@action_set("diving48")
def read_diving48(root: str | os.PathLike[str], *, split: int = 1) -> ActionSet:
    """The one split.

    Args:
        root: of the data set.
        split: 1.

    Returns:
        The split. Clips of a group are cut from the video of one competition.

    Raises:
        ValueError: a wrong split, or lists that are missing, damaged or of other classes.
    """
    check_split(split, 1, "Diving48")
    root = Path(root)
    lists = find_folder(root, _LIST_FOLDERS, "Diving48*_train.json", "Diving48", "diving48")
    is_v2 = (lists / "Diving48_V2_train.json").is_file()
    title, prefix = ("Diving48 V2", "Diving48_V2") if is_v2 else ("Diving48", "Diving48")
    vocabulary = read_json(lists / "Diving48_vocab.json", "Diving48's list of classes")
    if not isinstance(vocabulary, list) or not all(isinstance(dive, list) for dive in vocabulary):
        raise ValueError(
            f"{lists / 'Diving48_vocab.json'} is no list of classes; expected [['Back', '15som', ...], ...]."
        )
    classes = ["+".join(map(str, dive)) for dive in vocabulary]
    videos = next((root / name for name in _VIDEO_FOLDERS if (root / name).is_dir()), root / _VIDEO_FOLDERS[0])
    found = files_by_stem(videos)
    parts = []
    for part in ("train", "test"):
        path = lists / f"{prefix}_{part}.json"
        records = []
        for entry in read_entries(path, "one of Diving48's official lists", ("vid_name", "label")):
            clip, label = str(entry["vid_name"]), entry["label"]
            if not isinstance(label, int) or not 0 <= label < len(classes):
                raise ValueError(f"{path}: clip {clip} has the label {label!r}; expected 0 to {len(classes) - 1}.")
            records.append(VideoRecord(videos / found.get(clip, f"{clip}.mp4"), clip, label, clip.rpartition("_")[0]))
        parts.append(records)
    train, test = parts
    check_parts(parts, str(lists), by="name")
    numbers = published(
        title, classes=(len(classes), CLASSES), train=(len(train), COUNTS[title][0]), test=(len(test), COUNTS[title][1])
    )
    return ActionSet(classes=classes, train=train, test=test, **numbers)
