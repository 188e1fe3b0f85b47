"""Synthesizes a small UCF-101: video files in the official layout, with a task that only a long-range block can solve.

The task is in `two_spots`; this file is about groups, names, lists, and when to write at all.
"""

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specvid.datasets.synthetic.encode import write_video
from specvid.datasets.synthetic.folder import Progress, SyntheticSet, action_contents, synthesizer, write_set
from specvid.datasets.synthetic.two_spots import CLASSES, PAIRS, Scene, TwoSpots, draw_background, draw_scene, render

GROUPS = 25
TEST_GROUPS = {
    1: range(1, 8),
    2: range(8, 15),
    3: range(15, 22),
}  # of the three official splits; the rest is to train on
_FORMAT = 2  # a new number makes `synthesize_ucf101` write again


@dataclass(frozen=True)
class SyntheticClip:
    """One clip to be written.

    Attributes:
        name: As in the lists, ``Class/v_Class_gXX_cYY.avi``.
        label: From 0.
        group: From 1.
        scene: What is to be seen.
        directions: Of the first and the second spot.
    """

    name: str
    label: int
    group: int
    scene: Scene
    directions: tuple[int, int]


def plan_ucf101(*, seed: int = 0, scenes: int = 14, task: TwoSpots | None = None) -> Iterator[SyntheticClip]:
    """Plan all clips of a synthetic set, group by group; nothing is written.

    Args:
        seed: As of `synthesize_ucf101`.
        scenes: Likewise.
        task: Likewise.

    Yields:
        The clips.
    """
    task = task or TwoSpots()
    for group in range(1, GROUPS + 1):
        background = draw_background(np.random.default_rng([seed, group]))
        for number in range(scenes):
            scene = draw_scene(task, background, np.random.default_rng([seed, group, number]))
            for label, name in enumerate(CLASSES):
                for which, directions in enumerate(PAIRS[name]):
                    file = f"v_{name}_g{group:02d}_c{2 * number + which + 1:02d}.avi"
                    yield SyntheticClip(f"{name}/{file}", label, group, scene, directions)


@synthesizer("ucf101")
def synthesize_ucf101(
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    scenes: int = 14,
    task: TwoSpots | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SyntheticSet:
    """Synthesize two classes in UCF-101's layout: ``out/videos/Class/v_Class_gXX_cYY.avi``, ``out/ucfTrainTestlist/``.

    The folder appears complete or not at all. One that was made with the same settings is left as it is.

    Args:
        out: The folder.
        seed: The same seed and settings give the same files, byte for byte (with the same FFmpeg libraries).
        scenes: In a group, 1 to 49; each gives two clips of either class, so there are 25 x 4 x ``scenes`` files.
        task: How clips look.
        overwrite: Whether another synthetic set in ``out`` is replaced.
        progress: Called with (done, total) after each clip.

    Returns:
        What was written.

    Raises:
        ValueError: ``scenes`` is out of its range, or ``out`` holds anything else.
    """
    if not 1 <= scenes <= 49:
        raise ValueError(
            f"scenes is {scenes}; it must be 1 to 49: a group has clips c01 to c99 of a class, and a scene makes two"
        )
    task = task or TwoSpots()
    settings = {"layout": "ucf101", "format": _FORMAT, "seed": seed, "scenes": scenes, **dataclasses.asdict(task)}

    def fill(folder: Path) -> Iterator[tuple[int, int]]:
        clips = list(plan_ucf101(seed=seed, scenes=scenes, task=task))
        for done, clip in enumerate(clips, start=1):
            path = folder / "videos" / clip.name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, render(task, clip.scene, clip.directions), task.fps)
            yield done, len(clips)
        write_lists(folder / "ucfTrainTestlist", clips)

    tested = len(TEST_GROUPS[1]) * scenes * 4
    contents = action_contents("clip", GROUPS * scenes * 4 - tested, tested, task.frames, task.size)
    return write_set(out, settings, fill, contents=contents, overwrite=overwrite, progress=progress)


def write_lists(folder: Path, clips: list[SyntheticClip]) -> None:
    """Write ``classInd.txt`` and the lists of the three splits, as the official ones: labels in the train lists only.

    Args:
        folder: Where.
        clips: All clips of the set.
    """
    folder.mkdir(parents=True)
    _write(folder / "classInd.txt", [f"{label} {name}" for label, name in enumerate(CLASSES, start=1)])
    ordered = sorted(clips, key=lambda clip: clip.name)
    for split, groups in TEST_GROUPS.items():
        train = [f"{clip.name} {clip.label + 1}" for clip in ordered if clip.group not in groups]
        _write(folder / f"trainlist{split:02d}.txt", train)
        _write(folder / f"testlist{split:02d}.txt", [clip.name for clip in ordered if clip.group in groups])


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
