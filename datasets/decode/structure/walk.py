"""What a walk through the parts of a file gives, and the registry of walks."""

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from specvid.registry import Registry

Bytes: TypeAlias = mmap.mmap | bytes

_MOST_BREAKS = 1000  # of a file; one that is damaged in more places is not worth walking on


@dataclass(frozen=True, eq=False)
class Structure:
    """What the parts of a file show.

    Args:
        cut: what shows that bytes are missing at the end; "" where nothing does.
        breaks: where one part does not follow another, in bytes, rising.
        pictures: (N,) int64, rising: where FFmpeg's packets of pictures begin, by the file's own index; None without.
        chunks: of video that were found, with empty ones; 0 where they were not counted.
        ends: when the last frame disappears, s, by the header; 0 = not looked for, or not announced.
    """

    cut: str = ""
    breaks: tuple[int, ...] = ()
    pictures: np.ndarray | None = None
    chunks: int = 0
    ends: float = 0.0

    @property
    def damage(self) -> str:
        """All that is wrong, for a message; "" where nothing is."""
        if not self.breaks:
            return self.cut
        more = f" and {len(self.breaks) - 1} times behind it" if len(self.breaks) > 1 else ""
        inside = f"its parts do not follow one another at byte {self.breaks[0]:,}{more}"
        return f"{self.cut}; {inside}" if self.cut else inside


WALKS: Registry[Callable[[Bytes], Structure]] = Registry("container")
"""Walks by FFmpeg's name of the container, the first of several. `specvid.datasets.decode.structure.find` fills it."""


class Breaks(list[int]):
    """Collects places where one part does not follow another."""

    def note(self, place: int) -> bool:
        """Add one.

        Args:
            place: in bytes.

        Returns:
            Whether the walk should go on.
        """
        self.append(place)
        return len(self) < _MOST_BREAKS

    def structure(self, cut: str = "") -> Structure:
        """The result of a walk.

        Args:
            cut: see `Structure`.
        """
        return Structure(cut, tuple(sorted(set(self))))


def too_short(what: str, end: int, size: int) -> str:
    """The sentence about a file that ends before one of its parts does.

    Args:
        what: the part.
        end: byte at which it would end.
        size: bytes of the file.
    """
    return f"{what} reaches to byte {end:,}, the file ends at byte {size:,}"
