"""A re-identification data set: tracklets to train on, tracklets to test on, and which are queries and which gallery.

A tracklet is one person's walk through one camera: some frames (image files) in order of time. A layout is a function
``read(root, *, split=1) -> ReidSet`` in a file of its own, registered with ``@reid_set``.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from specvid.datasets.layouts.base import DataSet
from specvid.registry import Registry

Identity = int | str

REID_SETS: Registry[Callable[..., "ReidSet"]] = Registry("dataset")
"""Readers by the name of their data set. `specvid.datasets.layouts.registry` fills it."""

_DIGITS = re.compile(r"(\d+)")
_MOST_DIGITS = 4000  # of a number that Python reads; no name of a file has as many
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
        """File of a frame.

        Args:
            index: of the frame, from 0.

        Returns:
            The path.
        """
        return self.folder / self.frames[index]


@dataclass(frozen=True, eq=False, kw_only=True)
class ReidSet(DataSet):
    """One split of a re-ID data set.

    Attributes:
        protocol: the ``specvid.eval`` protocol that is usual for it.
        train: tracklets to train on.
        test: tracklets to test on; each one is embedded once.
        query: (Q,) int64 rows of ``test`` that are queries.
        gallery: (G,) int64 rows of ``test`` that are the gallery; a query may be among them.
    """

    protocol: str
    train: tuple[Tracklet, ...] = field(repr=False)
    test: tuple[Tracklet, ...] = field(repr=False)
    query: np.ndarray = field(repr=False)
    gallery: np.ndarray = field(repr=False)

    @property
    def query_index(self) -> np.ndarray:
        """(Q,) place of each query in the gallery, -1 where it is not in it."""
        place = np.full(len(self.test), -1)
        place[self.gallery] = np.arange(len(self.gallery))
        return place[self.query]


def reid_set(name: str) -> Callable[[Callable[..., ReidSet]], Callable[..., ReidSet]]:
    """Register the reader of a data set.

    Args:
        name: as ``--dataset`` takes it.

    Returns:
        The decorator.

    Raises:
        ValueError: the name is taken.
    """
    return REID_SETS.register(name)


def labels_of(tracklets: Sequence[Tracklet]) -> tuple[list[Identity], np.ndarray]:
    """The identities of some tracklets as classes to train on.

    Args:
        tracklets: N of them.

    Returns:
        The identities that occur, sorted, and the place (N,) int64 of each tracklet's in that list.
    """
    identities = sorted({tracklet.pid for tracklet in tracklets}, key=lambda pid: (isinstance(pid, str), pid))
    number = {pid: i for i, pid in enumerate(identities)}
    return identities, np.array([number[tracklet.pid] for tracklet in tracklets], np.int64)


def count_identities(tracklets: Sequence[Tracklet]) -> int:
    """How many identities some tracklets have.

    Args:
        tracklets: in any order.

    Returns:
        The number.
    """
    return len({tracklet.pid for tracklet in tracklets})


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """File names in the order of the numbers in them: ``F999`` before ``F1000``, whatever the file system returns.

    Args:
        names: in any order.

    Returns:
        The names, sorted.
    """
    # Where all numbers stand in the same places, text sorts them too: the quick way, for a million frames.
    alike = len({name.translate(_ANY_DIGIT) for name in names}) == 1
    return tuple(sorted(names, key=None if alike else natural_key))


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Key that sorts numbers inside names by their value and the rest as text.

    Args:
        name: of a file.

    Returns:
        The key.
    """
    parts = _DIGITS.split(name)
    return [(1, int(part[:_MOST_DIGITS]), part) if i % 2 else (0, 0, part) for i, part in enumerate(parts)]


def check_disjoint(train: Sequence[Tracklet], test: Sequence[Tracklet], where: str) -> None:
    """Check that nobody is trained on and tested on: the score would be one of memory.

    Args:
        train: tracklets to train on.
        test: tracklets to test on.
        where: what to call them.

    Raises:
        ValueError: an identity is in both.
    """
    shared = {tracklet.pid for tracklet in train} & {tracklet.pid for tracklet in test}
    if shared:
        some = ", ".join(str(pid) for pid in sorted(shared, key=str)[:4])
        raise ValueError(
            f"{where}: {len(shared)} identities are in train and in test (e.g. {some}); no identity may be in both"
        )
