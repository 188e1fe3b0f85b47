"""Data sets of identities seen once by each of two cameras: folders of frames, and ten random splits of the identities.

What iLIDS-VID and PRID-2011 share: ``CAMERA/PERSON/*.png``, queries by the first camera, gallery by the second.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from specvid.datasets.layouts.base import check_split
from specvid.datasets.layouts.media import folders_in, images_in
from specvid.datasets.layouts.reid_set import ReidSet, Tracklet, check_disjoint, count_identities, natural_key
from specvid.reading import parse_json, read_plain

Split = tuple[list[str], list[str]]  # identities to train on, identities to test on


@dataclass(frozen=True)
class TwoCameras:
    """A published set of this kind.

    Attributes:
        title: what to call it.
        protocol: as ``specvid.eval`` names it.
        cameras: folders, the queries' first.
        identities: published number.
        per_side: published number of identities to train on, and of as many to test on.
        splits: published number.
    """

    title: str
    protocol: str
    cameras: tuple[str, str]
    identities: int
    per_side: int
    splits: int = 10


def read_split(kind: TwoCameras, sequences: Path, splits: Sequence[Split], split: int) -> ReidSet:
    """One split: both cameras' tracklets of its identities.

    Args:
        kind: the data set.
        sequences: folder with a folder for each camera.
        splits: all splits.
        split: which one, from 1.

    Returns:
        The split.

    Raises:
        ValueError: a split that does not exist, a person without frames in one of the cameras, or one on both sides.
    """
    check_split(split, len(splits), kind.title)
    identities = splits[split - 1]
    missing = [
        f"{camera}/{name}"
        for name in [*identities[0], *identities[1]]
        for camera in kind.cameras
        if not (sequences / camera / name).is_dir()
    ]
    if missing:
        raise ValueError(f"{sequences}: {len(missing)} folders of split {split} are missing, e.g. {missing[0]}")
    train, test = (
        tuple(tracklet_of(sequences, camera, name) for camera in kind.cameras for name in side) for side in identities
    )
    check_disjoint(train, test, where=f"split {split} of {kind.title}")
    count = len(identities[1])
    is_complete = (len(identities[0]), count, len(splits)) == (kind.per_side, kind.per_side, kind.splits)
    listed, published = f"{len(identities[0])} / {count}", f"{kind.per_side} / {kind.per_side}"
    title = kind.title if is_complete else f"{kind.title} cut down to {listed} of {published} identities"
    return ReidSet(
        title=title,
        protocol=kind.protocol,
        train=train,
        test=test,
        query=np.arange(count),
        gallery=np.arange(count, 2 * count),
        split=split,
        splits=len(splits),
        is_complete=is_complete,
        is_cut_down=not is_complete,
        counts={
            "identities": (count_identities((*train, *test)), kind.identities),
            "identities to train on, per split": (count_identities(train), kind.per_side),
            "identities to test on, per split": (count_identities(test), kind.per_side),
            "splits": (len(splits), kind.splits),
        },
    )


def tracklet_of(sequences: Path, camera: str, identity: str) -> Tracklet:
    """The tracklet of an identity's folder.

    Args:
        sequences: The folder of both cameras.
        camera: Name of the camera's folder.
        identity: Name of its folder in that of the camera.

    Returns:
        The tracklet, frames in the order of the numbers in their names.
    """
    folder = sequences / camera / identity
    return Tracklet(f"{camera}/{identity}", identity, camera, folder, images_in(folder))


def identities_in(sequences: Path, camera: str) -> list[str]:
    """The folders of a camera.

    Args:
        sequences: The folder of both cameras.
        camera: Name of the camera's folder.

    Returns:
        Names of the folders, in order of their numbers.
    """
    return sorted(folders_in(sequences / camera), key=natural_key)


def read_json_splits(path: Path) -> list[Split]:
    """Read splits in the form of the usual code bases.

    Args:
        path: A file of ``[{"train": [identities], "test": [identities]}, ...]``.

    Returns:
        The splits, in order.

    Raises:
        ValueError: The file has another form, names an identity twice, or leaves a side empty.
    """
    try:
        content: Any = parse_json(read_plain(path))
        splits = [(list(entry["train"]), list(entry["test"])) for entry in content]
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise ValueError(
            f'{path} is no list of splits: expected [{{"train": [identities], "test": [identities]}}, ...] ({error!r})'
        ) from None
    if not splits or any(not train or not test for train, test in splits):
        raise ValueError(f"{path} holds no split with identities on both sides")
    for number, side in ((number, side) for number, split in enumerate(splits, start=1) for side in split):
        times = Counter(name for name in side if isinstance(name, str))
        wrong = [name for name in side if not isinstance(name, str) or times[name] > 1]
        if wrong:
            raise ValueError(
                f"{path}, split {number}: {wrong[0]!r} must be the name of a person's folder, in quotes, and come once"
            )
    return splits


def find(root: Path, choices: Sequence[str]) -> Path | None:
    """The first of several paths that exists.

    Args:
        root: The folder of the data set.
        choices: Paths relative to it, with ``*``.

    Returns:
        The path; None where none exists.
    """
    for choice in choices:
        found = sorted(root.glob(choice)) if "*" in choice else [root / choice]
        if found and found[0].exists():
            return found[0]
    return None
