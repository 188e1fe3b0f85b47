"""MARS: 20,478 tracklets of 1,261 identities by six cameras (Zheng et al., ECCV 2016).

The official layout::

    bbox_train/0001/0001C1T0001F001.jpg     person, camera, tracklet, frame
    bbox_test/0000/...  bbox_test/00-1/...  id 0: distractors, which stay; id -1: junk, which is ignored
    info/train_name.txt  test_name.txt      all frames, one name a line (or packed as .txt.gz)
    info/tracks_train_info.mat  tracks_test_info.mat    first and last line (from 1), id, camera of each tracklet
    info/query_IDX.mat                      queries: rows of tracks_test_info from 1; uint16
"""

import gzip
import os
import zlib
from pathlib import Path

import numpy as np

from specvid.datasets.layouts.base import check_split, require_root
from specvid.datasets.layouts.matlab import read_matlab
from specvid.datasets.layouts.reid_set import ReidSet, Tracklet, check_disjoint, count_identities, in_order, reid_set
from specvid.datasets.layouts.text import read_text

TRAIN_TRACKLETS, TEST_TRACKLETS, QUERIES = 8_298, 12_180, 1_980
TRAIN_IDS, DISTRACTORS, JUNK = 625, 3_248, 870
TRAIN_FRAMES, TEST_FRAMES = 509_914, 681_089
CAMERAS = 6

_MOST_NAMES = 2**28  # bytes of a list of names that is unpacked; the longest one has 12 MB


@reid_set("mars")
def read_mars(root: str | os.PathLike[str], *, split: int = 1) -> ReidSet:
    """The one split of MARS, or of a part of it in the same layout.

    Frames are not looked for: ``specvid data check mars`` does that.

    Args:
        root: of the data set.
        split: 1.

    Returns:
        The split.

    Raises:
        ValueError: a split other than 1, a missing or damaged list, or lists that contradict each other.
    """
    check_split(split, 1, "MARS")
    root = Path(root)
    require_root(root, "MARS")
    info = root / "info"
    if not info.is_dir():
        raise ValueError(f"{root} is not MARS: it has no folder info/ (with train_name.txt, tracks_train_info.mat ...)")
    train = _read_side(root, "train")
    test = _read_side(root, "test")
    query = read_matlab(info / "query_IDX.mat", "query_IDX").reshape(-1) - 1
    if len(query) == 0 or query.min() < 0 or query.max() >= len(test) or len(np.unique(query)) != len(query):
        raise ValueError(
            f"{info / 'query_IDX.mat'} must name different rows of tracks_test_info from 1 to {len(test)}; "
            f"it has {len(query)} from {query.min(initial=0) + 1} to {query.max(initial=-1) + 1}"
        )
    check_disjoint(train, test, str(root))
    is_complete = (len(train), len(test), len(query)) == (TRAIN_TRACKLETS, TEST_TRACKLETS, QUERIES)
    title = "MARS" if is_complete else f"MARS cut down to {len(test):,} of {TEST_TRACKLETS:,} test tracklets"
    pids = [tracklet.pid for tracklet in test]
    return ReidSet(
        title=title,
        protocol="mars",
        train=train,
        test=test,
        query=query,
        gallery=np.arange(len(test)),
        is_complete=is_complete,
        is_cut_down=not is_complete,
        counts={
            "tracklets to train on": (len(train), TRAIN_TRACKLETS),
            "identities to train on": (count_identities(train), TRAIN_IDS),
            "frames to train on": (sum(map(len, train)), TRAIN_FRAMES),
            "tracklets to test on": (len(test), TEST_TRACKLETS),
            "of them distractors (id 0)": (pids.count(0), DISTRACTORS),
            "of them junk (id -1)": (pids.count(-1), JUNK),
            "frames to test on": (sum(map(len, test)), TEST_FRAMES),
            "queries": (len(query), QUERIES),
            "cameras": (len({tracklet.camid for tracklet in (*train, *test)}), CAMERAS),
        },
    )


def _read_side(root: Path, side: str) -> tuple[Tracklet, ...]:
    """All tracklets of ``train`` or ``test``, in the order of the list."""
    require_root(root, "MARS")
    info = root / "info"
    names = _names(info, side)
    rows = read_matlab(info / f"tracks_{side}_info.mat", f"track_{side}_info")
    if rows.ndim != 2 or rows.shape[1] != 4 or len(rows) == 0:
        raise ValueError(f"{info}/tracks_{side}_info.mat has shape {rows.shape}; it must be (tracklets, 4)")
    folder = root / f"bbox_{side}"
    tracklets = []
    for number, (first, last, pid, camera) in enumerate(rows.tolist(), start=1):
        where = f"{info}/tracks_{side}_info.mat, row {number}"
        if not 1 <= first <= last <= len(names):
            raise ValueError(f"{where}: lines {first} to {last} of {side}_name.txt do not exist; it has {len(names)}")
        own = names[first - 1 : last]
        name = _tracklet_of(own[0])
        if any(_tracklet_of(frame) != name for frame in own):
            raise ValueError(f"{where}: lines {first} to {last} of {side}_name.txt belong to more than one tracklet")
        if name[:4] != _person(pid) or name[4:6] != f"C{camera}":
            raise ValueError(f"{where} says identity {pid}, camera {camera}, but its frames are called {own[0]}")
        tracklets.append(Tracklet(name, pid, camera, folder, in_order([f"{frame[:4]}/{frame}" for frame in own])))
    return tuple(tracklets)


def _tracklet_of(frame: str) -> str:
    """``0001C1T0001`` of ``0001C1T0001F001.jpg``."""
    return frame.rpartition("F")[0]


def _person(pid: int) -> str:
    """How an identity begins a file name: 7 is 0007, junk (-1) is 00-1."""
    return f"{pid:04d}" if pid >= 0 else f"00{pid}"


def _names(info: Path, side: str) -> list[str]:
    """The frames' names, one a line."""
    plain, packed = info / f"{side}_name.txt", info / f"{side}_name.txt.gz"
    if plain.exists():
        return read_text(plain).split()
    if not packed.is_file():
        raise ValueError(f"{plain} is missing; it is one of MARS's official info files")
    try:
        with gzip.open(packed) as file:
            data = file.read(_MOST_NAMES)
        if len(data) == _MOST_NAMES:
            raise ValueError(f"it unpacks to {_MOST_NAMES // 2**20} MiB and more")
        return data.decode("utf-8").split()
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{packed} holds no names of frames ({error}); fetch it again") from None
