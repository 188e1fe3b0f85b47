"""Small action sets in the layouts of HMDB-51, Kinetics, Something-Something, Diving48 and Jester, in folders and in a
table. The task is that of the synthetic UCF-101 (`two_spots`): do two spots move the same way?

A scene gives four clips, two of each class. Every fourth scene is tested on; with three splits, another one in each.
"""

import csv
import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from specvid.datasets.synthetic.encode import write_video
from specvid.datasets.synthetic.folder import Progress, SyntheticSet, action_contents, synthesizer, write_set
from specvid.datasets.synthetic.two_spots import CLASSES, PAIRS, TwoSpots, draw_background, draw_scene, render
from specvid.datasets.synthetic.ucf101 import SyntheticClip

_FORMAT = 1  # a new number makes the functions write again
_SENTENCES = ("Moving [something] and [something] opposite ways", "Moving [something] and [something] the same way")

Write = Callable[[Path, list[SyntheticClip], TwoSpots], Iterator[int]]
"""Writes all clips and lists below a folder; yields after each clip."""

_WRITERS: dict[str, Write] = {}


def plan_clips(*, seed: int, scenes: int, task: TwoSpots) -> list[SyntheticClip]:
    """The clips of a small set; nothing is written.

    Args:
        seed: of everything random.
        scenes: how many; each gives two clips of either class.
        task: how they look.

    Returns:
        The clips; their group is the scene.
    """
    clips = []
    for number in range(scenes):
        background = draw_background(np.random.default_rng([seed, 4, number]))
        scene = draw_scene(task, background, np.random.default_rng([seed, 5, number]))
        for label, name in enumerate(CLASSES):
            for which, directions in enumerate(PAIRS[name]):
                clips.append(SyntheticClip(f"s{number:03d}_{name}_{which}", label, number, scene, directions))
    return clips


def synthesize_actions(
    layout: str,
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    scenes: int = 40,
    task: TwoSpots | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SyntheticSet:
    """Synthesize a small action set in one of the layouts of this file.

    Args:
        layout: Its name.
        out: The folder.
        seed: The same seed and settings give the same files.
        scenes: From 4 up, of which every fourth is tested on.
        task: How clips look.
        overwrite: Whether another synthetic set in ``out`` is replaced.
        progress: Called with (done, total) after each clip.

    Returns:
        What was written.

    Raises:
        ValueError: There are fewer scenes, or ``out`` holds anything else.
    """
    if scenes < 4:
        raise ValueError(f"scenes is {scenes}; it must be at least 4, of which one is tested on")
    used = task or TwoSpots()
    settings = {"layout": layout, "format": _FORMAT, "seed": seed, "scenes": scenes, **dataclasses.asdict(used)}

    clips = plan_clips(seed=seed, scenes=scenes, task=used)

    def fill(folder: Path) -> Iterator[tuple[int, int]]:
        for done, _ in enumerate(_WRITERS[layout](folder, clips, used), start=1):
            yield done, len(clips)

    tested = sum(map(_is_test, clips))
    held = sum(map(_is_validation, clips)) if layout == "folders" else 0
    train = len(clips) - tested - held
    contents = action_contents("clip", train, tested, used.frames, used.size, validation=held)
    return write_set(out, settings, fill, contents=contents, overwrite=overwrite, progress=progress)


def _layout(name: str) -> Callable[[Write], Write]:
    """Register a function that writes clips in a layout, and with it the synthesizer."""

    def add(write: Write) -> Write:
        _WRITERS[name] = write
        synthesizer(name)(partial(synthesize_actions, name))
        return write

    return add


def _is_test(clip: SyntheticClip, split: int = 1) -> bool:
    return clip.group % 4 == split


def _is_validation(clip: SyntheticClip) -> bool:
    """Of the layout that has such a part."""
    return clip.group % 4 == 2


def _video(path: Path, clip: SyntheticClip, task: TwoSpots, **options: Any) -> int:
    """Write the video file of a clip; the number of its frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, render(task, clip.scene, clip.directions), task.fps, **options)
    return task.frames


def _images(folder: Path, clip: SyntheticClip, task: TwoSpots) -> int:
    """Write the frames of a clip as images, numbered from 1; the number of its frames."""
    from PIL import Image

    folder.mkdir(parents=True)
    for number, frame in enumerate(render(task, clip.scene, clip.directions), start=1):
        Image.fromarray(frame).save(folder / f"{number:05d}.jpg", quality=95, subsampling=0)
    return task.frames


def _text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


@_layout("folders")
def _folders(folder: Path, clips: list[SyntheticClip], task: TwoSpots) -> Iterator[int]:
    """``train``, ``val`` and ``test`` / CLASS / *.mp4."""
    for clip in clips:
        part = "test" if _is_test(clip) else "val" if _is_validation(clip) else "train"
        yield _video(folder / part / CLASSES[clip.label] / f"{clip.name}.mp4", clip, task)


@_layout("table")
def _table(folder: Path, clips: list[SyntheticClip], task: TwoSpots) -> Iterator[int]:
    """``clips.csv`` and a video of each scene, of which each clip is a time span."""
    rows: list[list[Any]] = [["path", "label", "set", "group", "start_s", "end_s"]]
    (folder / "videos").mkdir(parents=True)
    for first in range(0, len(clips), 4):
        scene = clips[first : first + 4]
        path = folder / "videos" / f"scene{scene[0].group:03d}.mp4"
        write_video(path, np.concatenate([render(task, clip.scene, clip.directions) for clip in scene]), task.fps)
        for number, clip in enumerate(scene):
            span = [number * task.frames / task.fps, (number + 1) * task.frames / task.fps]
            part = "test" if _is_test(clip) else "train"
            rows.append([f"videos/{path.name}", CLASSES[clip.label], part, f"scene{clip.group}", *span])
            yield number
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@_layout("hmdb51")
def _hmdb51(folder: Path, clips: list[SyntheticClip], task: TwoSpots) -> Iterator[int]:
    """HMDB-51's layout: ``hmdb51_org/CLASS/*.avi`` and three splits."""
    files = [f"film{clip.group:03d}_{CLASSES[clip.label]}_u_nm_np1_fr_goo_{clip.name[-1]}.avi" for clip in clips]
    for clip, file in zip(clips, files, strict=True):
        yield _video(folder / "hmdb51_org" / CLASSES[clip.label] / file, clip, task)
    for split in (1, 2, 3):
        for label, name in enumerate(CLASSES):
            lines = [
                f"{file} {2 if _is_test(clip, split) else 1}"
                for clip, file in zip(clips, files, strict=True)
                if clip.label == label
            ]
            _text(folder / "testTrainMulti_7030_splits" / f"{name}_test_split{split}.txt", lines)


@_layout("kinetics")
def _kinetics(folder: Path, clips: list[SyntheticClip], task: TwoSpots) -> Iterator[int]:
    """Kinetics' layout: official lists, ``train`` and ``val`` / CLASS / ID_START_END.mp4."""
    rows: dict[str, list[list[str]]] = {"train": [], "val": []}
    for number, clip in enumerate(clips):
        part, name = "val" if _is_test(clip) else "train", CLASSES[clip.label]
        video, start = f"synth{number:06d}", number % 50
        rows[part].append([name, video, str(start), str(start + 10), part, "0"])
        yield _video(folder / part / name / f"{video}_{start:06d}_{start + 10:06d}.mp4", clip, task)
    (folder / "annotations").mkdir()
    for part, own in rows.items():
        with (folder / "annotations" / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["label", "youtube_id", "time_start", "time_end", "split", "is_cc"], *own])


@_layout("something-v1")
def _something_v1(folder: Path, clips: list[SyntheticClip], task: TwoSpots) -> Iterator[int]:
    """Something-Something v1's layout: lists, and a folder of frames for each clip."""
    names = [sentence.replace("[", "").replace("]", "") for sentence in _SENTENCES]
    yield from _twentybn(folder, clips, task, "something-something-v1", names)


@_layout("jester")
def _jester(folder: Path, clips: list[SyntheticClip], task: TwoSpots) -> Iterator[int]:
    """Jester's layout: lists, and a folder of frames for each clip."""
    yield from _twentybn(folder, clips, task, "jester-v1", ["Moving Hands Opposite Ways", "Moving Hands The Same Way"])


def _twentybn(folder: Path, clips: list[SyntheticClip], task: TwoSpots, prefix: str, names: list[str]) -> Iterator[int]:
    """A layout of 20BN with frames and lists of lines."""
    for number, clip in enumerate(clips, start=1):
        yield _images(folder / f"20bn-{prefix}" / str(number), clip, task)
    _text(folder / f"{prefix}-labels.csv", names)
    for part, tested in (("train", False), ("validation", True)):
        lines = [
            f"{number};{names[clip.label]}" for number, clip in enumerate(clips, start=1) if _is_test(clip) == tested
        ]
        _text(folder / f"{prefix}-{part}.csv", lines)


@_layout("something-v2")
def _something_v2(folder: Path, clips: list[SyntheticClip], task: TwoSpots) -> Iterator[int]:
    """Something-Something v2's layout: JSON lists and WebM files."""
    for number, clip in enumerate(clips, start=1):
        path = folder / "20bn-something-something-v2" / f"{number}.webm"
        yield _video(path, clip, task, codec="libvpx-vp9", quantiser=4)
    names = [sentence.replace("[", "").replace("]", "") for sentence in _SENTENCES]
    _json(folder / "labels" / "labels.json", {name: str(label) for label, name in enumerate(names)})
    for part, tested in (("train", False), ("validation", True)):
        entries = [
            {
                "id": str(number),
                "label": names[clip.label].replace("something", "a spot"),
                "template": _SENTENCES[clip.label],
                "placeholders": ["a spot", "a spot"],
            }
            for number, clip in enumerate(clips, start=1)
            if _is_test(clip) == tested
        ]
        _json(folder / "labels" / f"{part}.json", entries)


@_layout("diving48")
def _diving48(folder: Path, clips: list[SyntheticClip], task: TwoSpots) -> Iterator[int]:
    """Diving48's layout: JSON lists of V2 and ``rgb/VIDEO_NUMBER.mp4``."""
    parts: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    for number, clip in enumerate(clips):
        name = f"synthetic{clip.group:03d}_{number:05d}"
        entry = {"vid_name": name, "label": clip.label, "start_frame": 0, "end_frame": task.frames}
        parts["test" if _is_test(clip) else "train"].append(entry)
        yield _video(folder / "rgb" / f"{name}.mp4", clip, task)
    _json(folder / "Diving48_vocab.json", [["Spots", name] for name in CLASSES])
    for part, entries in parts.items():
        _json(folder / f"Diving48_V2_{part}.json", entries)
