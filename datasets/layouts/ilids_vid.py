"""iLIDS-VID: 300 identities, two cameras, ten splits of 150 / 150 (Wang et al., ECCV 2014).

The official layout::

    i-LIDS-VID/sequences/cam1/person001/cam1_person001_00317.png train-test people splits/train_test_splits_ilidsvid.mat
    or splits_ilidsvid*.json: [{"train": [...], "test": [...]}]
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from specvid.datasets.layouts.base import require_root
from specvid.datasets.layouts.matlab import read_matlab
from specvid.datasets.layouts.reid_set import ReidSet, reid_set
from specvid.datasets.layouts.two_cameras import Split, TwoCameras, find, identities_in, read_json_splits, read_split

FRAMES = 42_459
KIND = TwoCameras("iLIDS-VID", "ilids-vid", ("cam1", "cam2"), identities=300, per_side=150)

_SEQUENCES = ("i-LIDS-VID/sequences", "sequences")
_MAT = (
    "train-test people splits/train_test_splits_ilidsvid.mat",
    "train_test_splits_ilidsvid.mat",
    "../train-test people splits/train_test_splits_ilidsvid.mat",
)
_JSON = ("splits_ilidsvid*.json", "splits.json", "train-test people splits/*.json")


@reid_set("ilids-vid")
def read_ilids_vid(root: str | os.PathLike[str], *, split: int = 1) -> ReidSet:
    """One of the ten splits: queries are the test identities by cam1, the gallery the same by cam2.

    Args:
        root: of the data set.
        split: 1 to 10.

    Returns:
        The split.

    Raises:
        ValueError: missing folders or splits, or a split that does not exist.
    """
    root = Path(root)
    sequences = find_sequences(root)
    data = read_split(KIND, sequences, read_splits(root, sequences), split)
    frames = sum(map(len, (*data.train, *data.test)))
    return replace(data, counts={**data.counts, "frames": (frames, FRAMES)})


def find_sequences(root: Path) -> Path:
    """The folder that holds cam1 and cam2.

    Args:
        root: of the data set.

    Returns:
        The folder.

    Raises:
        ValueError: there is none.
    """
    require_root(root, "iLIDS-VID")
    sequences = find(root, _SEQUENCES)
    if sequences is None or not all((sequences / camera).is_dir() for camera in KIND.cameras):
        raise ValueError(f"{root} is not iLIDS-VID: it has no i-LIDS-VID/sequences/cam1 and cam2")
    return sequences


def read_splits(root: Path, sequences: Path) -> list[Split]:
    """Read the ten splits, from JSON or from the official MATLAB file.

    Args:
        root: of the data set.
        sequences: the folder that holds cam1 and cam2.

    Returns:
        The splits, as names of identities.

    Raises:
        ValueError: there are none, or they do not fit the folders.
    """
    if path := find(root, _JSON):
        return read_json_splits(path)
    path = find(root, _MAT)
    if path is None:
        raise ValueError(
            f"{root} has no splits: expected 'train-test people splits/train_test_splits_ilidsvid.mat' "
            "or splits_ilidsvid.json"
        )
    return from_matlab(path, identities_in(sequences, KIND.cameras[0]))


def from_matlab(path: Path, identities: list[str]) -> list[Split]:
    """Read splits from the official MATLAB file.

    Args:
        path: of a file with ``ls_set`` (splits, 300): places in the sorted identities from 1; the first half tests, the
            second trains.
        identities: their names.

    Returns:
        The splits.

    Raises:
        ValueError: the places are not each identity once.
    """
    places = read_matlab(path, "ls_set")
    everybody = np.arange(1, len(identities) + 1)
    if places.ndim != 2 or places.shape[1] != len(everybody):
        raise ValueError(
            f"{path}: ls_set has shape {places.shape}; each row must order the {len(identities)} identities of "
            f"{KIND.cameras[0]}. Unpack the data set again where identities are missing"
        )
    for number, row in enumerate(places, start=1):
        if not np.array_equal(np.sort(row), everybody):
            wrong = [place for place in row.tolist() if place not in everybody or (row == place).sum() > 1]
            raise ValueError(
                f"{path}, row {number} of ls_set: each of the places 1 to {len(identities)} in {KIND.cameras[0]} must "
                f"come once, {wrong[0]} does not; fetch or unpack the file again"
            )
    half = places.shape[1] // 2
    return [
        ([identities[i - 1] for i in sorted(row[half:])], [identities[i - 1] for i in sorted(row[:half])])
        for row in places.tolist()
    ]
