"""Is a re-ID data set whole? Lists, counts beside the published ones, every frame; what is wrong is said by name."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from specvid.datasets.decode.images import read_frame
from specvid.datasets.layouts import ilids_vid, mars, prid2011
from specvid.datasets.layouts.registry import REID_SETS, read_reid
from specvid.datasets.layouts.reid_set import ReidSet, Tracklet
from specvid.errors import VideoError, unknown
from specvid.pipelines.reid.features import check_scorable
from specvid.tools.data.check import CheckReport

_NAMED = 20  # problems named, the rest counted

Counts = dict[str, tuple[int, int | None]]
"""What is counted: {name: (here, published; None where nothing is published)}."""


def check_reid(
    dataset: str,
    root: str | os.PathLike[str],
    *,
    fast: bool = False,
    workers: int | None = None,
    progress: bool = False,
) -> CheckReport:
    """Check a data set: lists, splits, counts, whether a query has a match; then every frame, decoded.

    ``dataset``: ``mars``, ``ilids-vid``, ``prid2011`` or ``tracklets``; ``fast``: files must be there, none is opened;
    ``workers``: processes that decode (default: one a core); ``progress``: show a bar. A set cut down to a part is
    accepted if its lists agree with its files, called cut down, and its counts stand beside the published ones.
    Raises: ``ValueError`` where ``root`` is no such data set at all.
    """
    if dataset not in REID_SETS:
        raise unknown("dataset", dataset, REID_SETS)
    root = Path(root)
    first = read_reid(dataset, root)
    problems: dict[str, str] = {}
    sets = [first, *_other_splits(dataset, root, first, problems)]
    tracklets = {tracklet.name: tracklet for data in sets for tracklet in (*data.train, *data.test)}.values()
    files = [os.path.join(tracklet.folder, frame) for tracklet in tracklets for frame in tracklet.frames]
    lines = [f"{first.title}: {len(tracklets):,} tracklets, {len(files):,} frames, in {root}"]
    for name, (here, published) in _counts(dataset, root, sets).items():
        beside = "" if published is None else f" (published: {published:,})"
        lines.append(f"  {name}: {here:,}{beside}")
        if published is not None and first.is_whole and here != published:
            problems[name] = f"{name}: {here:,} here, {published:,} published"
    for data in sets:
        try:
            check_scorable(data)
        except ValueError as error:
            problems[f"score {data.split}"] = str(error)
    missing = _missing(files)
    problems |= {path: f"missing: {path} is not there" for path in missing}
    present = [path for path in files if path not in missing]
    if fast:
        lines.append(f"{len(present):,} of {len(files):,} frames are there (names only: nothing was opened)")
    else:
        damaged = dict(_damaged(present, workers or os.cpu_count() or 1, progress))
        problems |= damaged
        lines.append(f"{len(present) - len(damaged):,} of {len(files):,} frames can be read")
    return CheckReport(first.title, lines + _problem_lines(problems), problems)


check_mars = partial(check_reid, "mars")
check_ilids_vid = partial(check_reid, "ilids-vid")
check_prid2011 = partial(check_reid, "prid2011")
check_tracklets = partial(check_reid, "tracklets")


def _other_splits(dataset: str, root: Path, first: ReidSet, problems: dict[str, str]) -> Iterator[ReidSet]:
    """Splits 2 and on; what is wrong with one becomes a problem."""
    for split in range(2, first.splits + 1):
        try:
            yield read_reid(dataset, root, split=split)
        except ValueError as error:
            problems[f"split {split}"] = str(error)


def _counts(dataset: str, root: Path, sets: Sequence[ReidSet]) -> Counts:
    """What this data set is known by."""
    data = sets[0]
    pids = [tracklet.pid for tracklet in data.test]
    train_frames, test_frames = (sum(map(len, side)) for side in (data.train, data.test))
    if dataset == "mars":
        return {
            "tracklets to train on": (len(data.train), mars.TRAIN_TRACKLETS),
            "identities to train on": (_identities(data.train), mars.TRAIN_IDS),
            "frames to train on": (train_frames, mars.TRAIN_FRAMES),
            "tracklets to test on": (len(data.test), mars.TEST_TRACKLETS),
            "of them distractors (id 0)": (pids.count(0), mars.DISTRACTORS),
            "of them junk (id -1)": (pids.count(-1), mars.JUNK),
            "frames to test on": (test_frames, mars.TEST_FRAMES),
            "queries": (len(data.query), mars.QUERIES),
            "cameras": (len({tracklet.camid for tracklet in (*data.train, *data.test)}), mars.CAMERAS),
        }
    if dataset == "tracklets":
        return {
            "tracklets to train on": (len(data.train), None), "identities to train on": (_identities(data.train), None),
            "queries": (len(data.query), None), "gallery": (len(data.gallery), None),
            "cameras": (len({tracklet.camid for tracklet in (*data.train, *data.test)}), None),
        }  # fmt: skip
    module = ilids_vid if dataset == "ilids-vid" else prid2011
    counts: Counts = {
        "identities": (len({tracklet.pid for tracklet in (*data.train, *data.test)}), module.IDENTITIES),
        "identities to train on, per split": (_identities(data.train), module.PER_SIDE),
        "identities to test on, per split": (_identities(data.test), module.PER_SIDE),
        "splits": (len(sets), module.SPLITS),
    }
    if dataset == "ilids-vid":
        counts["frames"] = (train_frames + test_frames, ilids_vid.FRAMES)
    else:
        sequences = prid2011.find_sequences(root)
        for camera, published in zip(prid2011.KIND.cameras, (prid2011.IN_CAM_A, prid2011.IN_CAM_B), strict=True):
            folders = sum(1 for entry in os.scandir(sequences / camera) if entry.is_dir())
            counts[f"identities in {camera}"] = (folders, published)
    return counts


def _identities(tracklets: Sequence[Tracklet]) -> int:
    return len({tracklet.pid for tracklet in tracklets})


def _missing(paths: Sequence[str]) -> set[str]:
    """Files that are not there: each folder is listed once, which is quick for a million of them."""
    listed: dict[str, set[str]] = {}
    missing = set()
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in listed:
            listed[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        if name not in listed[folder]:
            missing.add(path)
    return missing


def _damaged(paths: Sequence[str], workers: int, progress: bool) -> Iterator[tuple[str, str]]:
    """(path, what is wrong) of the files that cannot be read."""
    from rich.progress import track

    chunk = 256
    parts = [paths[start : start + chunk] for start in range(0, len(paths), chunk)]
    # A new interpreter for each worker: one that was forked may hold locks of threads that it does not have.
    with ProcessPoolExecutor(min(workers, max(1, len(parts))), mp_context=get_context("spawn")) as pool:
        for found in track(pool.map(_read_all, parts), "reading", total=len(parts), disable=not progress):
            yield from found


def _read_all(paths: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for path in paths:
        try:
            read_frame(path)
        except VideoError as error:
            found.append((path, str(error)))
    return found


def _problem_lines(problems: dict[str, str]) -> list[str]:
    if not problems:
        return ["nothing is wrong"]
    missing = sum(text.startswith("missing: ") for text in problems.values())
    texts = sorted(problems.values(), key=lambda text: text.startswith("missing: "))
    lines = [
        f"{len(problems) - missing} problems, {missing:,} frames missing:",
        *(f"  {text}" for text in texts[:_NAMED]),
    ]
    return lines if len(texts) <= _NAMED else [*lines, f"  ... and {len(texts) - _NAMED:,} more"]
