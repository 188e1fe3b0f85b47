"""A re-identification data set: tracklets to train on, tracklets to test on, and which of these ask and which answer.

A tracklet is one person's walk through one camera: some frames (image files) in order of time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Identity = int | str

_DIGITS = re.compile(r"(\d+)")
_ANY_DIGIT = str.maketrans("123456789", "0" * 9)


@dataclass(frozen=True, slots=True)
class Tracklet:
    """One person in front of one camera for a while.

    Attributes:
        name: unique in its set, e.g. ``0001C1T0001``.
        pid: identity. On MARS 0 are distractors (detections that are no person) and -1 junk.
        camid: camera.
        folder: what ``frames`` are relative to.
        frames: image files in order of time.
    """

    name: str
    pid: Identity
    camid: Identity
    folder: Path
    frames: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError(f"tracklet {self.name!r} has no frames; it needs at least one")

    def __len__(self) -> int:
        return len(self.frames)

    def path(self, index: int) -> Path:
        """File of a frame."""
        return self.folder / self.frames[index]


@dataclass(frozen=True, eq=False)
class ReidSet:
    """One split of a re-ID data set.

    Attributes:
        title: what to call it in a report, e.g. ``MARS`` or ``MARS cut down to 209 of 12,180 test tracklets``.
        protocol: the ``specvid.eval`` protocol that is usual for it.
        train: tracklets to train on.
        test: tracklets to test on; each one is embedded once.
        query: (Q,) int64 rows of ``test`` that are queries.
        gallery: (G,) int64 rows of ``test`` that are the gallery; a query may be among them.
        split: number of the split from 1; ``splits``: how many there are.
        is_whole: it has the published numbers of tracklets.
        source: resolved path of own data or a part, for others may have its title; "" where the title says which it is.
    """

    title: str
    protocol: str
    train: tuple[Tracklet, ...] = field(repr=False)
    test: tuple[Tracklet, ...] = field(repr=False)
    query: np.ndarray = field(repr=False)
    gallery: np.ndarray = field(repr=False)
    split: int = 1
    splits: int = 1
    is_whole: bool = False
    source: str = ""

    @property
    def query_index(self) -> np.ndarray:
        """(Q,) place of each query in the gallery, -1 where it is not in it."""
        place = np.full(len(self.test), -1)
        place[self.gallery] = np.arange(len(self.gallery))
        return place[self.query]


def labels_of(tracklets: Sequence[Tracklet]) -> tuple[list[Identity], np.ndarray]:
    """The identities that occur, sorted, and the number (N,) of each tracklet's in that list: classes to train on."""
    identities = sorted({tracklet.pid for tracklet in tracklets}, key=lambda pid: (isinstance(pid, str), pid))
    number = {pid: i for i, pid in enumerate(identities)}
    return identities, np.array([number[tracklet.pid] for tracklet in tracklets], np.int64)


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """File names in the order of the numbers in them: ``F999`` before ``F1000``, whatever the file system returns."""
    # Where all numbers stand in the same places, text sorts them too: the quick way, for a million frames.
    alike = len({name.translate(_ANY_DIGIT) for name in names}) == 1
    return tuple(sorted(names, key=None if alike else natural_key))


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Key that sorts numbers inside names by their value and the rest as text."""
    parts = _DIGITS.split(name)
    return [(1, int(part), part) if i % 2 else (0, 0, part) for i, part in enumerate(parts)]


def check_disjoint(train: Sequence[Tracklet], test: Sequence[Tracklet], where: str) -> None:
    """ValueError where a person is trained on and tested on: the score would be one of memory."""
    shared = {tracklet.pid for tracklet in train} & {tracklet.pid for tracklet in test}
    if shared:
        some = ", ".join(str(pid) for pid in sorted(shared, key=str)[:4])
        raise ValueError(
            f"{where}: {len(shared)} identities are in train and in test (e.g. {some}); no person may be in both"
        )
