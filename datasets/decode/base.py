"""The interface of every decoder: a length, a frame rate, and frames by number."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType

import numpy as np

from specvid.datasets.decode.probe import Probe, probe
from specvid.errors import VideoError


class Video(ABC):
    """An open video file. Use it in a ``with`` block, in the process that opened it.

    ``len(video)`` is the number of frames, ``video.fps`` their rate per second and ``video.frames(indices)`` the
    frames themselves. Opening and reading raise ``VideoError`` where the file is missing, damaged or not a video; no
    decoder ever repeats a frame to hide damage.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.header: Probe = probe(self.path)
        self.fps: float = self.header.fps

    @abstractmethod
    def __len__(self) -> int:
        """Number of frames."""

    def frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames ``indices``, in any order, repeated or not.

        Returns: uint8 RGB (T, H, W, 3), contiguous, T = ``len(indices)``, row t = frame ``indices[t]`` counted from 0
        in display order.
        Raises: ``VideoError`` where one of them cannot be decoded; ``ValueError`` for an index outside ``0 ..
        len(video) - 1``.
        """
        wanted = np.asarray(indices)
        if wanted.ndim != 1 or wanted.size == 0 or not np.issubdtype(wanted.dtype, np.integer):
            raise ValueError(f"indices = {indices!r} of {self.path}: expected a non-empty flat list of integers.")
        if wanted.min() < 0 or wanted.max() >= len(self):
            outside = wanted[(wanted < 0) | (wanted >= len(self))][0]
            raise ValueError(f"frame {outside} of {self.path} does not exist: it has frames 0 to {len(self) - 1}.")
        if (wanted[1:] > wanted[:-1]).all():  # a clip mostly is: nothing to rearrange, no copy
            return self._decode(wanted)
        needed, place = np.unique(wanted, return_inverse=True)
        return self._decode(needed)[place]

    @abstractmethod
    def _decode(self, needed: np.ndarray) -> np.ndarray:
        """The frames ``needed`` (sorted, each once, all inside the video) as uint8 (T, H, W, 3)."""

    def _check_whole(self, held: int) -> int:
        """``held``, the frames in the file, unless the header announces more."""
        if held == 0:
            raise VideoError(self.path, "holds no frames")
        if held < self.header.frames:
            reason = f"is cut off: the header announces {self.header.frames} frames, the file holds {held}"
            raise VideoError(self.path, reason)
        return held

    def _damaged(self, frame: int) -> VideoError:
        return VideoError(self.path, f"is damaged: frame {frame} of {len(self)} or one before it cannot be decoded")

    def close(self) -> None:  # noqa: B027 (a decoder that holds nothing has nothing to close)
        """Release the file."""

    def __enter__(self) -> "Video":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
