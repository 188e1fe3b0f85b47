"""The re-identification data sets by name."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from specvid.datasets.layouts.ilids_vid import read_ilids_vid
from specvid.datasets.layouts.mars import read_mars
from specvid.datasets.layouts.prid2011 import read_prid2011
from specvid.datasets.layouts.reid_set import ReidSet
from specvid.datasets.layouts.tracklets import read_tracklets
from specvid.errors import unknown

REID_SETS: dict[str, Callable[..., ReidSet]] = {
    "mars": read_mars,
    "ilids-vid": read_ilids_vid,
    "prid2011": read_prid2011,
    "tracklets": read_tracklets,
}


def read_reid(dataset: str, root: str | os.PathLike[str], *, split: int = 1) -> ReidSet:
    """A split of the data set ``mars``, ``ilids-vid``, ``prid2011`` or ``tracklets`` (a folder or table of one's own).

    A published set that is whole is known by its title, wherever it lies; any other also by its path, as ``source``.

    Raises:
        ValueError: another name, or whatever does not fit in the folder.
    """
    if dataset not in REID_SETS:
        raise unknown("dataset", dataset, REID_SETS)
    data = REID_SETS[dataset](root, split=split)
    return data if data.is_whole else replace(data, source=str(Path(root).resolve()))
