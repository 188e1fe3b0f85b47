"""PRID-2011, multi-shot: 178 of the 200 people seen by both cameras, ten splits of 89 / 89 (Hirzer et al., SCIA 2011).

The official layout, with the splits beside it that everybody uses (people with long enough walks in both cameras)::

    prid_2011/multi_shot/cam_a/person_0001/0001.png
    splits_prid2011.json     [{"train": ["person_0001", ...], "test": [...]}, ...]
"""

import os
from dataclasses import replace
from pathlib import Path

from specvid.datasets.layouts.base import require_root
from specvid.datasets.layouts.reid_set import ReidSet, reid_set
from specvid.datasets.layouts.two_cameras import TwoCameras, find, identities_in, read_json_splits, read_split

IN_CAMERA = {"cam_a": 385, "cam_b": 749}  # identities
KIND = TwoCameras("PRID-2011", "prid2011", ("cam_a", "cam_b"), identities=178, per_side=89)

_SEQUENCES = ("prid_2011/multi_shot", "multi_shot", "prid2011/multi_shot")
_JSON = ("splits_prid2011*.json", "prid_2011/splits_prid2011*.json", "splits.json")


@reid_set("prid2011")
def read_prid2011(root: str | os.PathLike[str], *, split: int = 1) -> ReidSet:
    """One of the ten splits: queries are the test identities by cam_a, the gallery the same by cam_b.

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
    data = read_split(KIND, sequences, read_json_splits(find_splits(root)), split)
    counts = {
        f"identities in {camera}": (len(identities_in(sequences, camera)), published)
        for camera, published in IN_CAMERA.items()
    }
    return replace(data, counts={**data.counts, **counts})


def find_sequences(root: Path) -> Path:
    """The folder that holds cam_a and cam_b.

    Args:
        root: of the data set.

    Returns:
        The folder.

    Raises:
        ValueError: there is none.
    """
    require_root(root, "PRID-2011")
    sequences = find(root, _SEQUENCES)
    if sequences is None or not all((sequences / camera).is_dir() for camera in KIND.cameras):
        raise ValueError(f"{root} is not PRID-2011: it has no prid_2011/multi_shot/cam_a and cam_b")
    return sequences


def find_splits(root: Path) -> Path:
    """The JSON file of the splits.

    Args:
        root: of the data set.

    Returns:
        The file.

    Raises:
        ValueError: there is none.
    """
    path = find(root, _JSON)
    if path is None:
        raise ValueError(
            f"{root} has no splits_prid2011.json: PRID-2011 comes without splits; put the commonly used file there "
            "(`specvid data prepare prid2011 --splits FILE` does)"
        )
    return path
