"""Own clips in folders: the folder of a clip is its class.

Either with parts, or without::

    train/CLASS/*.mp4  val/CLASS/*.mp4  test/CLASS/*.mp4        val and test may be missing
    CLASS/*.mp4

A clip is a video file, or a folder of images, of optical flow too. Classes may have any name.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from specvid.datasets.layouts.action_set import ActionSet, VideoRecord, action_set
from specvid.datasets.layouts.base import no_folder
from specvid.datasets.layouts.media import VIDEOS, flow_folders, folders_in, is_hidden, is_image
from specvid.datasets.layouts.own import PARTS, groups_of_files, make_set
from specvid.datasets.layouts.reid_set import in_order
from specvid.text import path_on_one_line


@action_set("folders")
def read_folders(
    root: str | os.PathLike[str], *, split: int = 1, groups: str = "", test_fraction: float = 0.0
) -> ActionSet:
    """The clips of a folder.

    Args:
        root: of the data set.
        split: which draw of the test part, 1 to 10; 1 where the folder has a test part.
        groups: which clips are cut from one source: a regular expression or a table, see `group_rule`.
        test_fraction: share of the groups of each class to test on, where there is no test part.

    Returns:
        The set.

    Raises:
        ValueError: no classes with clips in them, or groups that do not fit.
    """
    root = Path(root)
    if not root.is_dir():
        raise no_folder(root, "a folder with CLASS/*.mp4 in it, or train/CLASS/*.mp4")
    parted = {name: PARTS[name] for name in folders_in(root) if name in PARTS}
    if "train" not in parted:
        parted = {"": "train"}
    names = sorted({label for part in parted for label in folders_in(root / part)})
    found = {(part, label): _clips(root / part / label) for part in parted for label in names}
    classes = [label for label in names if any(found[part, label] for part in parted)]
    if not classes:
        raise ValueError(
            f"{root} has no folder of a class with videos in it; expected CLASS/*.mp4 or train/CLASS/*.mp4."
        )
    parts: dict[str, list[VideoRecord]] = {part: [] for part in parted.values()}
    for number, label in enumerate(classes):
        for folder, part in parted.items():
            place, names_begin = root / folder / label, "".join(f"{above}/" for above in (folder, label) if above)
            parts[part] += [VideoRecord(place / file, names_begin + file, number) for file in found[folder, label]]
    empty = [label for label in names if label not in classes]
    named = ", ".join(map(path_on_one_line, empty[:5])) + " ..." * (len(empty) > 5)
    return make_set(
        root.resolve().name,
        classes,
        _grouped(parts),
        split=split,
        groups=groups,
        test_fraction=test_fraction,
        warnings=[f"no classes, since no clip lies in them: {named}"] if empty else (),
    )


def _grouped(parts: Mapping[str, Sequence[VideoRecord]]) -> dict[str, list[VideoRecord]]:
    """The clips with a group where several are links to one file."""
    records = [record for own in parts.values() for record in own]
    groups = iter(groups_of_files([(record.path, record.name) for record in records]))
    return {part: [replace(record, group=next(groups)) for record in own] for part, own in parts.items()}


def _clips(folder: Path) -> tuple[str, ...]:
    """Video files in a folder, and folders of images."""
    if not folder.is_dir():
        return ()
    names = []
    for entry in os.scandir(folder):
        if is_hidden(entry.name):
            continue
        if entry.is_dir():
            if any(is_image(name) for name in os.listdir(entry.path)) or flow_folders(entry.path):
                names.append(entry.name)
        elif os.path.splitext(entry.name)[1].lower() in VIDEOS:
            names.append(entry.name)
    return in_order(names)
