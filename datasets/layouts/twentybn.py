"""The lists of 20BN's first data sets (Something-Something v1, Jester): a file of classes, and ``ID;class`` lines."""

from pathlib import Path

from specvid.datasets.layouts.action_set import (
    ActionSet,
    VideoRecord,
    check_parts,
    files_by_stem,
    find_folder,
    published,
    read_lines,
)
from specvid.datasets.layouts.base import check_split

LIST_FOLDERS = (".", "annotations", "labels")


def read_twentybn(
    root: Path, *, dataset: str, title: str, prefix: str, videos: str, classes: int, train: int, test: int, split: int
) -> ActionSet:
    """The one split: trained on the train list, tested on the validation list, since test labels are not published.

    Args:
        root: of the data set.
        dataset: its name.
        title: what to call it.
        prefix: of the names of its lists.
        videos: folder with a folder of frames for each clip.
        classes: published number.
        train: published number of clips.
        test: published number of clips of the validation list.
        split: 1.

    Returns:
        The split.

    Raises:
        ValueError: a wrong split, a missing list, a line that is no clip, or a class that the file of classes lacks.
    """
    check_split(split, 1, title)
    lists = find_folder(root, LIST_FOLDERS, f"{prefix}-labels.csv", title, dataset)
    names = read_lines(lists / f"{prefix}-labels.csv", f"{title}'s list of classes")
    label_of = {name: label for label, name in enumerate(names)}
    folder = root / videos
    found = files_by_stem(folder)
    parts = []
    for part in ("train", "validation"):
        path = lists / f"{prefix}-{part}.csv"
        records, seen = [], set()
        for line in read_lines(path, f"one of {title}'s official lists"):
            clip, _, name = line.partition(";")
            if not clip.isdigit() or not name:
                raise ValueError(f"{path}: line {line!r} is no clip; expected e.g. '100218;Unfolding something'.")
            if name not in label_of:
                raise ValueError(f"{path}: line {line!r} names a class that is not in {prefix}-labels.csv.")
            if clip in seen:
                raise ValueError(f"{path}: clip {clip} is listed twice; every clip counts once.")
            seen.add(clip)
            records.append(VideoRecord(folder / found.get(clip, clip), clip, label_of[name]))
        parts.append(records)
    check_parts(parts, str(lists), by="name")
    numbers = published(title, classes=(len(names), classes), train=(len(parts[0]), train), test=(len(parts[1]), test))
    return ActionSet(classes=names, train=parts[0], test=parts[1], **numbers)
