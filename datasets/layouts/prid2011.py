"""PRID-2011, multi-shot: 178 of the 200 people seen by both cameras, ten splits of 89 / 89 (Hirzer et al., SCIA 2011).

The official layout, with the splits beside it that everybody uses (people with long enough walks in both cameras)::

    prid_2011/multi_shot/cam_a/person_0001/0001.png
    splits_prid2011.json     [{"train": ["person_0001", ...], "test": [...]}, ...]
"""

import os
from pathlib import Path

from specvid.datasets.layouts.reid_set import ReidSet
from specvid.datasets.layouts.two_cameras import TwoCameras, find, read_json_splits, read_split

IDENTITIES, PER_SIDE, SPLITS = 178, 89, 10
IN_CAM_A, IN_CAM_B = 385, 749
KIND = TwoCameras("PRID-2011", "prid2011", ("cam_a", "cam_b"))

_SEQUENCES = ("prid_2011/multi_shot", "multi_shot", "prid2011/multi_shot")
_JSON = ("splits_prid2011*.json", "prid_2011/splits_prid2011*.json", "splits.json")


def read_prid2011(root: str | os.PathLike[str], *, split: int = 1) -> ReidSet:
    """One of the ten splits: queries are the test identities by cam_a, the gallery the same by cam_b.

    Raises:
        ValueError: missing folders or splits, or a split that does not exist.
    """
    root = Path(root)
    sequences = find_sequences(root)
    return read_split(KIND, sequences, read_json_splits(find_splits(root)), split, (PER_SIDE, PER_SIDE))


def find_sequences(root: Path) -> Path:
    """The folder that holds cam_a and cam_b."""
    sequences = find(root, _SEQUENCES)
    if sequences is None or not all((sequences / camera).is_dir() for camera in KIND.cameras):
        raise ValueError(f"{root} is not PRID-2011: it has no prid_2011/multi_shot/cam_a and cam_b")
    return sequences


def find_splits(root: Path) -> Path:
    """The JSON file of the splits."""
    path = find(root, _JSON)
    if path is None:
        raise ValueError(
            f"{root} has no splits_prid2011.json: PRID-2011 comes without splits; put the commonly used file there "
            "(`specvid data prepare prid2011 --splits FILE` does)"
        )
    return path
