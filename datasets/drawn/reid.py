"""Draws small re-ID sets: real image files in the official layouts, with people who are known by their gait alone
(`gait`).

People are split so that train and test hold half of them each, as far from each other as can be: those with an even and
those with an odd number of lanes in which arm and leg swing to the same side. A person's tracklets take the sides of
the arms in turn from a shuffled list of all there are, so that as long as they do not repeat, no two tracklets of a
person share what they show at any time.
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from specvid.datasets.drawn.gait import Gait, render
from specvid.datasets.drawn.ucf101 import SETTINGS, DrawnSet

CAMERAS = 6
_FORMAT = 1  # of the drawing: a new number makes the functions draw again

Files = dict[str, np.ndarray]
"""Files to be written: {path relative to the root: an image, uint8 (H, W, 3), or the bytes (N,) of another file}."""

Progress = Callable[[int, int], None]
"""Called after each file: (files written, of how many)."""


def draw_mars(
    out: str | os.PathLike[str], *, seed: int = 0, tracklets: int = 16, distractors: int = 12, junk: int = 6,
    task: Gait | None = None, overwrite: bool = False, progress: Progress | None = None,
) -> DrawnSet:  # fmt: skip
    """Draw a set in MARS's layout: half of the people to train on, half to test on; six cameras.

    ``tracklets``: of each person; ``distractors``, ``junk``: test tracklets of id 0 (walkers whose legs follow nobody)
    and -1 (nobody at all). The first tracklet of a test person in each camera is a query, as on MARS. For the rest see
    `draw_set`.
    """
    task = task or Gait()
    if tracklets < 2:
        raise ValueError(f"tracklets is {tracklets}; each person needs at least 2: a query and its match")
    settings = {"tracklets": tracklets, "distractors": distractors, "junk": junk}

    def files() -> Files:
        train, test = halves(task)
        drawn: Files = {}
        for side, people in (("train", train), ("test", test)):
            rows: list[Any] = []
            names: list[str] = []
            queries: list[int] = []
            walks = [(person, number) for person in people for number in range(tracklets)]
            if side == "test":
                walks = [(-2, n) for n in range(junk)] + [(-1, n) for n in range(distractors)] + walks
            for person, number in sorted(walks, key=lambda walk: (walk[0], walk[1] % CAMERAS, walk[1])):
                camera, track = number % CAMERAS + 1, number // CAMERAS + 1
                pid = {-2: -1, -1: 0}.get(person, person + 1)
                label = "00-1" if pid == -1 else f"{pid:04d}"
                clip = _walk(task, seed, person, number)
                first = len(names) + 1
                for frame, image in enumerate(clip, start=1):
                    names.append(f"{label}C{camera}T{track:04d}F{frame:03d}.jpg")
                    drawn[f"bbox_{side}/{label}/{names[-1]}"] = image
                rows.append((first, len(names), pid, camera))
                if person >= 0 and track == 1:
                    queries.append(len(rows))
            drawn[f"info/{side}_name.txt"] = _text(names)
            drawn[f"info/tracks_{side}_info.mat"] = _mat(f"track_{side}_info", np.array(rows, np.int32))
        drawn["info/query_IDX.mat"] = _mat("query_IDX", np.array([queries], np.uint16))
        return drawn

    return draw_set(out, "mars", seed, task, settings, files, overwrite=overwrite, progress=progress)


def draw_ilids_vid(
    out: str | os.PathLike[str], *, seed: int = 0, task: Gait | None = None, overwrite: bool = False,
    progress: Progress | None = None,
) -> DrawnSet:  # fmt: skip
    """Draw a set in iLIDS-VID's layout: everybody once by cam1 and once by cam2, ten splits in the MATLAB file."""
    task = task or Gait(lanes=5)

    def files() -> Files:
        drawn: Files = {}
        for camera in (1, 2):
            for person in range(task.people):
                folder = f"i-LIDS-VID/sequences/cam{camera}/person{person + 1:03d}"
                for frame, image in enumerate(_walk(task, seed, person, camera - 1), start=1):
                    drawn[f"{folder}/cam{camera}_person{person + 1:03d}_{frame:05d}.png"] = image
        places = np.stack([np.random.default_rng([seed, 1, s]).permutation(task.people) + 1 for s in range(10)])
        path = "train-test people splits/train_test_splits_ilidsvid.mat"
        drawn[path] = _mat("ls_set", places.astype(np.float64))
        return drawn

    return draw_set(out, "ilids-vid", seed, task, {}, files, overwrite=overwrite, progress=progress)


def draw_prid2011(
    out: str | os.PathLike[str], *, seed: int = 0, task: Gait | None = None, overwrite: bool = False,
    progress: Progress | None = None,
) -> DrawnSet:  # fmt: skip
    """Draw a set in PRID-2011's layout: every person once by cam_a and once by cam_b, ten random splits as JSON."""
    task = task or Gait(lanes=5)

    def files() -> Files:
        drawn: Files = {}
        for number, camera in enumerate(("cam_a", "cam_b")):
            for person in range(task.people):
                folder = f"prid_2011/multi_shot/{camera}/person_{person + 1:04d}"
                for frame, image in enumerate(_walk(task, seed, person, number), start=1):
                    drawn[f"{folder}/{frame:04d}.png"] = image
        splits = []
        for split in range(10):
            people = [f"person_{i + 1:04d}" for i in np.random.default_rng([seed, 1, split]).permutation(task.people)]
            half = task.people // 2
            splits.append({"train": sorted(people[:half]), "test": sorted(people[half:])})
        drawn["splits_prid2011.json"] = np.frombuffer(json.dumps(splits, indent=1).encode(), np.uint8)
        return drawn

    return draw_set(out, "prid2011", seed, task, {}, files, overwrite=overwrite, progress=progress)


def draw_tracklets(
    out: str | os.PathLike[str], *, seed: int = 0, tracklets: int = 8, task: Gait | None = None,
    overwrite: bool = False, progress: Progress | None = None,
) -> DrawnSet:  # fmt: skip
    """Draw a folder of one's own: ``train`` and ``test`` / PERSON / CAMERA / TRACKLET; cameras are letters."""
    task = task or Gait(lanes=3)
    settings = {"tracklets": tracklets}

    def files() -> Files:
        drawn: Files = {}
        for side, people in zip(("train", "test"), halves(task), strict=True):
            for person in people:
                for number in range(tracklets):
                    folder = f"{side}/walker{person}/{'abc'[number % 3]}/{number // 3 + 1}"
                    for frame, image in enumerate(_walk(task, seed, person, number), start=1):
                        drawn[f"{folder}/{frame}.png"] = image
        return drawn

    return draw_set(out, "tracklets", seed, task, settings, files, overwrite=overwrite, progress=progress)


def draw_set(
    out: str | os.PathLike[str], layout: str, seed: int, task: Gait, settings: dict[str, Any],
    files: Callable[[], Files], *, overwrite: bool, progress: Progress | None = None,
) -> DrawnSet:  # fmt: skip
    """Write what ``files`` gives below ``out``: the folder appears whole or not at all.

    The same seed and settings give the same pictures. A set that was drawn with them is left as it is. ``ValueError``
    where ``out`` holds anything else, unless it is another drawn set and ``overwrite`` is given.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be a whole number >= 0")
    out = Path(out)
    settings = {"layout": layout, "format": _FORMAT, "seed": seed, **settings, **dataclasses.asdict(task)}
    if out.is_dir() and any(out.iterdir()):
        try:
            found = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ValueError(
                f"{out} is there and is no drawn set (it has no {SETTINGS}); choose another folder"
            ) from None
        written = found.pop("files", None)
        if found == settings and sum(1 for path in out.rglob("*") if path.is_file()) == written:
            return DrawnSet(out, written, drawn=False)
        if not overwrite:
            raise ValueError(f"{out} holds another drawn set, or a part of one; choose another folder, or overwrite it")
    elif out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; the set needs a folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    work = out.with_name(f".{out.name}.drawing-{os.getpid()}")
    try:
        drawn = files()
        for number, (name, content) in enumerate(drawn.items(), start=1):
            _write(work / name, content)
            if progress is not None:
                progress(number, len(drawn))
        text = json.dumps({**settings, "files": len(drawn) + 1}, indent=2) + "\n"
        (work / SETTINGS).write_text(text, encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        work.replace(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return DrawnSet(out, len(drawn) + 1, drawn=True)


def halves(task: Gait) -> tuple[list[int], list[int]]:
    """People to train on and to test on: an even and an odd number of lanes with arm and leg on the same side."""
    sides: tuple[list[int], list[int]] = ([], [])
    for person in range(task.people):
        sides[bin(person).count("1") % 2].append(person)
    return sides


def _walk(task: Gait, seed: int, person: int, number: int) -> np.ndarray:
    """Tracklet ``number`` of a person; -1: a distractor; -2: junk, a picture without anybody. uint8 (T, H, W, 3)."""
    rng = np.random.default_rng([seed, 2, person + 2, number])
    if person < -1:
        shade = rng.integers(0, 256, (task.height, task.width, 3))
        return np.repeat((shade // 4)[None], task.frames, axis=0).astype(np.uint8)
    patterns = np.random.default_rng([seed, 3, person + 2]).permutation(task.people)
    return render(task, person, int(patterns[number % len(patterns)]), rng)


def _mat(variable: str, value: np.ndarray) -> np.ndarray:
    """A MATLAB file with one variable, as bytes; without the date that scipy writes into its header."""
    import io

    import scipy.io

    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {variable: value})
    content = bytearray(buffer.getvalue())
    content[:116] = b"MATLAB 5.0 MAT-file, drawn by specvid".ljust(116)
    return np.frombuffer(bytes(content), np.uint8)


def _text(lines: Sequence[str]) -> np.ndarray:
    return np.frombuffer(("\n".join(lines) + "\n").encode(), np.uint8)


def _write(path: Path, content: np.ndarray) -> None:
    """An image (H, W, 3) or the bytes (N,) of any other file."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    if content.ndim == 1:
        path.write_bytes(content.tobytes())
    elif path.suffix == ".jpg":
        Image.fromarray(content).save(path, quality=95, subsampling=0)
    else:
        Image.fromarray(content).save(path)
