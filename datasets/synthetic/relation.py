"""A task of real pixels that needs long range: do two real clips, far apart in one film, show the same action?

During the first half of a film one clip plays in a corner, during the second half another one in the corner opposite;
the rest is grey. Films come in *scenes* of four: two clips of each of two actions, each first clip with each second
one. Both classes then contain every clip at its place and time equally often, exactly, so that nothing that can be said
about one clip says anything about the class. A network whose positions see one of the clips each, with average pooling
and a linear classifier, gives f(first) + g(second), and is right on no more than three films of any scene, whatever its
weights: the proof of `two_spots` (docs/synthetic.md).

Films to train on are made of clips of the source's train list, films to test on of its test list, so of other groups.
"""

import csv
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from specvid.datasets.layouts.action_set import VideoRecord
from specvid.datasets.layouts.registry import read_action
from specvid.datasets.synthetic.encode import write_video
from specvid.datasets.synthetic.folder import (
    Progress,
    SyntheticSet,
    action_contents,
    require_seed,
    synthesizer,
    write_set,
)

CLASSES = ("Different", "Same")
_FORMAT = 2  # a new number makes the function write again
_GREY = 114
_LARGEST = 2048  # px; a film is held in memory


@dataclass(frozen=True)
class Relation:
    """How the films look.

    Args:
        frames: of a film; each clip has half of them.
        size: sides of the picture, px.
        tile: sides of a clip in it, px; the gap between the corners is ``size - 2 * tile`` in either direction.
        stride: from one frame of a source clip to the next one shown.
        fps: frames per second.
    """

    frames: int = 16
    size: int = 128
    tile: int = 48
    stride: int = 3
    fps: int = 10

    def __post_init__(self) -> None:
        if self.frames < 4 or self.frames % 2:
            raise ValueError(f"frames is {self.frames}; it must be even and at least 4: each clip has half of them")
        if self.size % 2 or not 8 <= self.tile <= self.size // 2 or self.size > _LARGEST:
            raise ValueError(
                f"size is {self.size} px and tile {self.tile} px; the size must be even and at most {_LARGEST}, the "
                "tile 8 px to half of it"
            )


@dataclass(frozen=True)
class Film:
    """One film.

    Args:
        name: of its file.
        part: ``train`` or ``test``.
        label: number of its class.
        scene: number of its scene.
        first: the clip of the first half.
        second: the clip of the second half.
        corner: of the first clip, 0 to 3, clockwise from the upper left one.
    """

    name: str
    part: str
    label: int
    scene: int
    first: VideoRecord
    second: VideoRecord
    corner: int


@synthesizer("relation")
def synthesize_relation(
    out: str | os.PathLike[str],
    *,
    from_: str | os.PathLike[str] = "",
    of: str = "ucf101",
    split: int = 1,
    seed: int = 0,
    scenes: int = 100,
    size: int = Relation.size,
    tile: int = Relation.tile,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SyntheticSet:
    """Compose films of the clips of a real set, in the layout ``folders``.

    ``films.csv`` says what each is made of, and what its clips show.

    Args:
        out: The folder.
        from_: The folder of the real set.
        of: Its layout.
        split: Which of its splits.
        seed: The same seed and source give the same files.
        scenes: Of four films each; every fourth is tested on.
        size: Sides of a film, px.
        tile: Sides of a clip in it, px.
        overwrite: Whether another synthetic set in ``out`` is replaced.
        progress: Called with (done, total) after each film.

    Returns:
        What was written.

    Raises:
        ValueError: There are fewer than 4 scenes, two clips do not fit into a film, the source has fewer than two
            actions with two clips in a part, ``out`` and the source lie in each other, or ``out`` holds anything
            else.
        VideoError: A clip of the source cannot be read.
    """
    if not from_:
        raise ValueError("the source is not given: --from DIR names the real set that films are composed of")
    written, read = Path(out).resolve(), Path(from_).resolve()
    if written == read or written in read.parents or read in written.parents:
        raise ValueError(
            f"{os.fspath(out)!r} and the source {os.fspath(from_)!r} are one folder, or one lies in the other: what is "
            "read would be written over. Give a folder elsewhere."
        )
    if scenes < 4:
        raise ValueError(f"scenes is {scenes}; it must be at least 4, of which one is tested on")
    require_seed(seed)
    used = Relation(size=size, tile=tile)
    data = read_action(of, from_, split=split)
    films = plan_films(data.train, data.test, data.classes, seed=seed, scenes=scenes)
    settings = {
        "layout": "relation",
        "format": _FORMAT,
        "seed": seed,
        "scenes": scenes,
        "source": [of, data.title, split, _digest(data.train), _digest(data.test), *data.classes],
        **asdict(used),
    }

    def fill(folder: Path) -> Iterator[tuple[int, int]]:
        for done, film in enumerate(films, start=1):
            path = folder / film.part / CLASSES[film.label] / f"{film.name}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, compose(film, used), used.fps, quantiser=3)
            yield done, len(films)
        with (folder / "films.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["film", "scene", "class", "first", "first action", "second", "second action", "corner"])
            for film in films:
                clips = [text for clip in (film.first, film.second) for text in (clip.name, data.classes[clip.label])]
                rows.writerow([film.name, film.scene, CLASSES[film.label], *clips, film.corner])

    tested = sum(film.part == "test" for film in films)
    contents = action_contents("film", len(films) - tested, tested, used.frames, used.size)
    return write_set(out, settings, fill, contents=contents, overwrite=overwrite, progress=progress)


def _digest(records: Sequence[VideoRecord]) -> str:
    """A part of the source in a few letters: two sets may have one title, classes and as many clips."""
    there = [os.path.getsize(one.path) if os.path.exists(one.path) else 0 for one in records]
    lines = [f"{one.name} {one.label} {size}" for one, size in zip(records, there, strict=True)]
    return f"{len(lines)} clips {hashlib.sha256(chr(10).join(lines).encode(errors='replace')).hexdigest()[:16]}"


def plan_films(
    train: Sequence[VideoRecord], test: Sequence[VideoRecord], classes: Sequence[str], *, seed: int, scenes: int
) -> list[Film]:
    """The films of a set; nothing is written.

    Args:
        train: clips that films to train on are made of.
        test: clips that films to test on are made of.
        classes: the actions.
        seed: of everything random.
        scenes: how many; each gives two films of either class.

    Returns:
        The films.

    Raises:
        ValueError: fewer than two actions have two clips in a part.
    """
    films: list[Film] = []
    for scene in range(scenes):
        part, records = ("test", test) if scene % 4 == 1 else ("train", train)
        rng = np.random.default_rng([seed, 6, scene])
        by_class: dict[int, list[VideoRecord]] = {}
        for record in records:
            by_class.setdefault(record.label, []).append(record)
        usable = sorted(label for label, own in by_class.items() if len(own) >= 2)
        if len(usable) < 2:
            raise ValueError(
                f"{len(usable)} of {len(classes)} actions have two clips or more to {part} with, and a scene takes two "
                f"of each of two actions: give the source a {part} part with more clips (of `folders`: {part}/ACTION/)"
            )
        pair = rng.choice(usable, 2, replace=False)
        clips = [_two_of(by_class[int(label)], rng) for label in pair]
        corner = int(rng.integers(4))
        for a in (0, 1):
            for b in (0, 1):
                label = int(a == b)
                name = f"s{scene:04d}_{CLASSES[label]}_{a}{b}"
                films.append(Film(name, part, label, scene, clips[a][0], clips[b][1], corner))
    return films


def _two_of(records: Sequence[VideoRecord], rng: np.random.Generator) -> tuple[VideoRecord, VideoRecord]:
    """Two clips, of two sources where there are several: else the background would say that the actions agree."""
    first = records[int(rng.integers(len(records)))]
    others = [one for one in records if one.group != first.group] or [one for one in records if one is not first]
    return first, others[int(rng.integers(len(others)))]


def compose(film: Film, task: Relation) -> np.ndarray:
    """The frames of a film.

    Args:
        film: what it is made of.
        task: how it looks.

    Returns:
        uint8 (T, H, W, 3).

    Raises:
        VideoError: a clip cannot be read.
    """
    half, far = task.frames // 2, task.size - task.tile
    frames = np.full((task.frames, task.size, task.size, 3), _GREY, np.uint8)
    corners = ((0, 0), (0, far), (far, far), (far, 0))
    for number, record in enumerate((film.first, film.second)):
        top, left = corners[(film.corner + 2 * number) % 4]
        tiles = _tiles(record, half, task)
        frames[number * half : (number + 1) * half, top : top + task.tile, left : left + task.tile] = tiles
    return frames


def _tiles(record: VideoRecord, count: int, task: Relation) -> np.ndarray:
    """The middle of a clip, cut to a square: uint8 (T, tile, tile, 3). A clip that is too short is played again."""
    import cv2

    from specvid.datasets.clips.spans import frames_of
    from specvid.datasets.decode import open_video

    with open_video(record.path) as video:
        first, length = frames_of(video, record)
        start = max(0, (length - task.stride * (count - 1) - 1) // 2)
        frames = video.frames(first + (start + task.stride * np.arange(count)) % length)
    side = min(frames.shape[1:3])
    top, left = ((extent - side) // 2 for extent in frames.shape[1:3])
    square = frames[:, top : top + side, left : left + side]
    return np.stack([cv2.resize(frame, (task.tile, task.tile), interpolation=cv2.INTER_AREA) for frame in square])
