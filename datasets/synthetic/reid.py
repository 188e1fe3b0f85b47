"""Synthesizes small re-ID sets: image files in the official layouts, of identities known by their gait alone (`gait`).

Every fourth identity is tested on, with an angle between those of two that are trained on. The directions of the arms
are spread evenly over the tracklets of an identity, and no two of them show the same; the first ones, which are all
that a test identity has, are as far apart as the angles of these identities. So a network that only knows how arms and
legs go, each taken by themselves, finds tracklets of other identities as similar as those of the same one.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from specvid.datasets.synthetic.folder import Progress, SyntheticSet, look, synthesizer, write_set
from specvid.datasets.synthetic.gait import Gait, parts, patterns, render_tracklet
from specvid.text import counted

CAMERAS = 6
_FORMAT = 2  # a new number makes the functions write again

Files = dict[str, np.ndarray]
"""Files to be written: {path relative to the root: an image, uint8 (H, W, 3), or the bytes (N,) of another file}."""


@synthesizer("mars")
def synthesize_mars(
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    identities: int | None = None,
    tracklets: int = 96,
    test_tracklets: int | None = None,
    distractors: int = 12,
    junk: int = 6,
    task: Gait | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SyntheticSet:
    """Synthesize a set in MARS's layout: three of four identities to train on, the fourth to test on; six cameras.

    The first tracklet of a test identity in each camera is a query, as on MARS. For ``out``, ``overwrite`` and
    ``progress`` see `write_set`.

    Args:
        out: The folder.
        seed: The same seed and settings give the same files.
        identities: How many, if others than the task's.
        tracklets: Of each identity.
        test_tracklets: Of each identity to test on, if there shall be fewer (by default as many as are far
            apart, `patterns`).
        distractors: Test tracklets of id 0: walkers whose legs follow nobody.
        junk: Test tracklets of id -1: nobody at all.
        task: How they look.
        overwrite: Whether another synthetic set in ``out`` is replaced.
        progress: Called with (done, total) after each tracklet.

    Returns:
        What was written.

    Raises:
        ValueError: A test identity has fewer than two tracklets, or ``out`` holds anything else.
    """
    task = _with(identities, task or Gait())
    count = {"train": tracklets, "test": min(tracklets, test_tracklets or patterns(task))}
    if count["test"] < 2:
        raise ValueError(f"tracklets is {count['test']}; each identity needs at least 2: a query and its match")
    settings = {"tracklets": tracklets, "test_tracklets": count["test"], "distractors": distractors, "junk": junk}

    def files() -> Files:
        train, test = parts(task)
        contents: Files = {}
        for side, identities in (("train", train), ("test", test)):
            rows: list[Any] = []
            names: list[str] = []
            queries: list[int] = []
            walks = [(identity, number) for identity in identities for number in range(count[side])]
            if side == "test":
                walks = [(-2, n) for n in range(junk)] + [(-1, n) for n in range(distractors)] + walks
            for identity, number in sorted(walks, key=lambda walk: (walk[0], walk[1] % CAMERAS, walk[1])):
                camera, track = number % CAMERAS + 1, number // CAMERAS + 1
                pid = {-2: -1, -1: 0}.get(identity, identity + 1)
                label = "00-1" if pid == -1 else f"{pid:04d}"
                clip = render_tracklet(task, seed, identity, number)
                first = len(names) + 1
                for frame, image in enumerate(clip, start=1):
                    names.append(f"{label}C{camera}T{track:04d}F{frame:03d}.jpg")
                    contents[f"bbox_{side}/{label}/{names[-1]}"] = image
                rows.append((first, len(names), pid, camera))
                if identity >= 0 and track == 1:
                    queries.append(len(rows))
            contents[f"info/{side}_name.txt"] = _text(names)
            contents[f"info/tracks_{side}_info.mat"] = _mat(f"track_{side}_info", np.array(rows, np.int32))
        contents["info/query_IDX.mat"] = _mat("query_IDX", np.array([queries], np.uint16))
        return contents

    words = f"{_divided(task, count['train'], count['test'])} and {distractors + junk:,} of nobody to be found"
    return _write(out, "mars", seed, task, settings, files, contents=words, overwrite=overwrite, progress=progress)


@synthesizer("ilids-vid")
def synthesize_ilids_vid(
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    identities: int | None = None,
    task: Gait | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SyntheticSet:
    """Synthesize a set in iLIDS-VID's layout: everybody once by cam1 and once by cam2, ten splits in a MATLAB file.

    Args:
        out: The folder.
        seed: The same seed and settings give the same files.
        identities: How many, if others than the task's.
        task: How they look.
        overwrite: Whether another synthetic set in ``out`` is replaced.
        progress: Called with (done, total) after each tracklet.

    Returns:
        What was written.
    """
    task = _with(identities, task or Gait(identities=32))

    def files() -> Files:
        contents: Files = {}
        for camera, identity, frame, image in _two_cameras(task, seed):
            folder = f"i-LIDS-VID/sequences/cam{camera}/person{identity:03d}"
            contents[f"{folder}/cam{camera}_person{identity:03d}_{frame:05d}.png"] = image
        places = np.stack([np.random.default_rng([seed, 1, s]).permutation(task.identities) + 1 for s in range(10)])
        path = "train-test people splits/train_test_splits_ilidsvid.mat"
        contents[path] = _mat("ls_set", places.astype(np.float64))
        return contents

    words = _halved(task)
    return _write(out, "ilids-vid", seed, task, {}, files, contents=words, overwrite=overwrite, progress=progress)


@synthesizer("prid2011")
def synthesize_prid2011(
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    identities: int | None = None,
    task: Gait | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SyntheticSet:
    """Synthesize a set in PRID-2011's layout: everybody once by cam_a and once by cam_b, ten random splits as JSON.

    Args:
        out: The folder.
        seed: The same seed and settings give the same files.
        identities: How many, if others than the task's.
        task: How they look.
        overwrite: Whether another synthetic set in ``out`` is replaced.
        progress: Called with (done, total) after each tracklet.

    Returns:
        What was written.
    """
    task = _with(identities, task or Gait(identities=32))

    def files() -> Files:
        contents: Files = {}
        for camera, identity, frame, image in _two_cameras(task, seed):
            contents[f"prid_2011/multi_shot/cam_{'ab'[camera - 1]}/person_{identity:04d}/{frame:04d}.png"] = image
        splits = []
        for split in range(10):
            identities = [
                f"person_{i + 1:04d}" for i in np.random.default_rng([seed, 1, split]).permutation(task.identities)
            ]
            half = task.identities // 2
            splits.append({"train": sorted(identities[:half]), "test": sorted(identities[half:])})
        contents["splits_prid2011.json"] = np.frombuffer(json.dumps(splits, indent=1).encode(), np.uint8)
        return contents

    words = _halved(task)
    return _write(out, "prid2011", seed, task, {}, files, contents=words, overwrite=overwrite, progress=progress)


@synthesizer("tracklets")
def synthesize_tracklets(
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    identities: int | None = None,
    tracklets: int = 8,
    task: Gait | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SyntheticSet:
    """Synthesize a folder of one's own: ``train`` and ``test`` / PERSON / CAMERA / TRACKLET; cameras are letters.

    Args:
        out: The folder.
        seed: The same seed and settings give the same files.
        identities: How many, if others than the task's.
        tracklets: Of each identity.
        task: How they look.
        overwrite: Whether another synthetic set in ``out`` is replaced.
        progress: Called with (done, total) after each tracklet.

    Returns:
        What was written.
    """
    task = _with(identities, task or Gait(identities=8))
    settings = {"tracklets": tracklets}

    def files() -> Files:
        contents: Files = {}
        for side, identities in zip(("train", "test"), parts(task), strict=True):
            for identity in identities:
                for number in range(tracklets):
                    folder = f"{side}/walker{identity}/{'abc'[number % 3]}/{number // 3 + 1}"
                    for frame, image in enumerate(render_tracklet(task, seed, identity, number), start=1):
                        contents[f"{folder}/{frame}.png"] = image
        return contents

    words = _divided(task, tracklets, tracklets)
    return _write(out, "tracklets", seed, task, settings, files, contents=words, overwrite=overwrite, progress=progress)


def _write(
    out: str | os.PathLike[str],
    layout: str,
    seed: int,
    task: Gait,
    settings: dict[str, Any],
    files: Callable[[], Files],
    *,
    contents: str,
    overwrite: bool,
    progress: Progress | None = None,
) -> SyntheticSet:
    """Write what ``files`` gives below ``out``."""

    def fill(folder: Path) -> Iterator[tuple[int, int]]:
        named = files()
        for done, (name, content) in enumerate(named.items(), start=1):
            _write_file(folder / name, content)
            yield done, len(named)

    settings = {"layout": layout, "format": _FORMAT, "seed": seed, **settings, **dataclasses.asdict(task)}
    contents = f"{contents}, {look(task.frames, task.width, task.height)}"
    return write_set(out, settings, fill, contents=contents, overwrite=overwrite, progress=progress)


def _two_cameras(task: Gait, seed: int) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """(camera, identity, frame, image), all counted from 1: everybody once in front of each of two cameras."""
    for camera in (1, 2):
        for identity in range(task.identities):
            for frame, image in enumerate(render_tracklet(task, seed, identity, camera - 1), start=1):
                yield camera, identity + 1, frame, image


def _divided(task: Gait, train: int, test: int) -> str:
    """The tracklets of a set in which some identities are trained on and the others tested on, in words."""
    taught, tested = map(len, parts(task))
    return (
        f"{counted(taught * train, 'tracklet')} of {counted(taught, 'identity')} to train on, "
        f"{tested * test:,} of {tested} to test on"
    )


def _halved(task: Gait) -> str:
    """The tracklets of a set with ten splits, in words."""
    people = counted(task.identities, "identity")
    return f"{counted(2 * task.identities, 'tracklet')} of {people}, half of them to train on in each of ten splits"


def _with(identities: int | None, task: Gait) -> Gait:
    """The task, with another number of identities if one is given."""
    return task if identities is None else dataclasses.replace(task, identities=identities)


def _mat(variable: str, value: np.ndarray) -> np.ndarray:
    """A MATLAB file with one variable, as bytes; without the date that scipy writes into its header."""
    import io

    import scipy.io

    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {variable: value})
    content = bytearray(buffer.getvalue())
    content[:116] = b"MATLAB 5.0 MAT-file, written by specvid".ljust(116)
    return np.frombuffer(bytes(content), np.uint8)


def _text(lines: Sequence[str]) -> np.ndarray:
    return np.frombuffer(("\n".join(lines) + "\n").encode(), np.uint8)


def _write_file(path: Path, content: np.ndarray) -> None:
    """An image (H, W, 3) or the bytes (N,) of any other file."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    if content.ndim == 1:
        path.write_bytes(content.tobytes())
    elif path.suffix == ".jpg":
        Image.fromarray(content).save(path, quality=95, subsampling=0)
    else:
        Image.fromarray(content).save(path)
