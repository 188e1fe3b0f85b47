"""The interface of every decoder: a length, a frame rate, and frames by number."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import TracebackType

import numpy as np

from specvid.datasets.decode.timing import Timing
from specvid.errors import VideoError
from specvid.memory import check_memory
from specvid.text import counted

MIN_READABLE = 0.9  # of the frames that are wanted at once; below it the file is an error
_BLOCK_BYTES = 64 * 2**20  # of frames that `stream` decodes at a time


class Video(ABC):
    """An open video. Use it in a ``with`` block, in the process that opened it.

    ``len(video)`` is the number of frames. Opening and reading raise ``VideoError`` where the file is missing, damaged
    or not a video; a frame that stands for another one is reported in ``warning``.

    Args:
        path: of the video.
        length: number of frames.
        fps: frames per second; the mean where the rate varies, 0 where it is unknown.
        size: height and width of a picture, px.
        times: (length,) float64, s from the first frame, where frames are not evenly spaced.
        min_readable: share of the frames wanted at once that must decode; the nearest ones stand in for the others.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        length: int,
        fps: float,
        size: tuple[int, int],
        *,
        times: np.ndarray | None = None,
        min_readable: float = MIN_READABLE,
    ) -> None:
        self.path = os.fspath(path)
        self.fps, self.size, self.times, self.min_readable = fps, size, times, min_readable
        self._length = length
        self._warnings: dict[str, str] = {}
        self._stand_ins: dict[str, str] = {}

    def __len__(self) -> int:
        return self._length

    @property
    def timing(self) -> Timing:
        """When its frames are shown."""
        return Timing(self.fps, self.times)

    @property
    def warning(self) -> str:
        """Warnings about the frames read so far; empty where all is as the file announces."""
        return "; ".join([*self._warnings.values(), *self._stand_ins.values()])

    @property
    def stand_ins(self) -> str:
        """Which of the frames read so far are others in place of lost ones, and why; empty where none are."""
        return "; ".join(self._stand_ins.values())

    @property
    def unusual(self) -> str:
        """What of the file is not as its header announces, or its names; the part of `warning` that is no stand-in."""
        return "; ".join(self._warnings.values())

    def _add_warning(self, warning: str) -> None:
        """Say something, once."""
        if warning:
            self._warnings[warning] = warning

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames by their numbers.

        Args:
            indices: in any order, repeated or not, counted from 0 in the order of presentation.

        Returns:
            uint8 RGB (T, H, W, 3), contiguous, T = ``len(indices)``: row t is frame ``indices[t]``, or the nearest one
            that decodes.

        Raises:
            VideoError: less than ``min_readable`` of them can be decoded.
            ValueError: an index outside 0 to ``len(video) - 1``.
        """
        wanted = np.asarray(indices)
        if wanted.ndim != 1 or wanted.size == 0 or not np.issubdtype(wanted.dtype, np.integer):
            raise ValueError(f"indices = {indices!r} of {self.path}: expected a non-empty flat list of integers.")
        if wanted.min() < 0 or wanted.max() >= len(self):
            outside = wanted[(wanted < 0) | (wanted >= len(self))][0]
            raise ValueError(f"frame {outside} of {self.path} does not exist: it has frames 0 to {len(self) - 1}.")
        size = 3 * wanted.size * self.size[0] * self.size[1]
        if size > _BLOCK_BYTES:  # what a clip mostly has needs no question
            check_memory(size, f"{counted(wanted.size, 'frame')} of {self.path} take")
        if (wanted[1:] > wanted[:-1]).all():  # a clip mostly is: nothing to rearrange, no copy
            return self._decode(wanted)
        needed, place = np.unique(wanted, return_inverse=True)
        return self._decode(needed)[place]

    def stream(self, needed: np.ndarray) -> Iterator[np.ndarray]:
        """Many frames one by one, in a single pass and bounded memory, however long the video.

        Args:
            needed: rising numbers.

        Returns:
            Each frame as uint8 RGB (H, W, 3).

        Raises:
            VideoError: less than ``min_readable`` of them can be decoded.
        """
        for _, block in self._blocks(needed):
            yield from self._decode(block)

    def _blocks(self, needed: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """``needed`` in parts that fit into memory, each with the place where it begins."""
        block = int(np.clip(_BLOCK_BYTES // (3 * self.size[0] * self.size[1]), 4, 256))
        for start in range(0, len(needed), block):
            yield start, needed[start : start + block]

    @abstractmethod
    def _decode(self, needed: np.ndarray) -> np.ndarray:
        """The frames ``needed`` (sorted, each once, all inside the video) as uint8 (T, H, W, 3)."""

    def _stand_in(self, lost: Sequence[int] | np.ndarray, wanted: int, reason: str, about: str = "") -> None:
        """Say that other frames stand in for ``lost``, anew where that is ``about`` the same read as before.

        Raises:
            VideoError: these are too many of the ``wanted``.
        """
        if not len(lost):
            return
        what = f"{len(lost)} of {wanted} wanted frames cannot be decoded, the first is frame {lost[0]} of {len(self)}"
        if len(lost) > (1 - self.min_readable) * wanted + 1e-9:
            raise VideoError(self.path, f"is damaged: {what} ({reason})")
        warning = f"{what}: the nearest ones stand in ({reason})"
        self._stand_ins[about or warning] = warning

    def close(self) -> None:  # noqa: B027 (a decoder that holds nothing has nothing to close)
        """Release the file."""

    def __enter__(self) -> "Video":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
