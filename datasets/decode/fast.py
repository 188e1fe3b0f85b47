"""What the fast decoders share: the index of the file, and PyAV for whatever they fail at."""

import os
from abc import abstractmethod
from collections.abc import Iterator

import numpy as np

from specvid.datasets.decode.base import MIN_READABLE, Video
from specvid.datasets.decode.index import FrameIndex, frame_index
from specvid.datasets.decode.pyav import PyAVVideo


class FastVideo(Video):
    """A video in which a fast decoder is exact.

    Args:
        path: of the video.
        min_readable: see `Video`.
    """

    def __init__(self, path: str | os.PathLike[str], *, min_readable: float = MIN_READABLE) -> None:
        self.index: FrameIndex = frame_index(os.fspath(path))
        index = self.index
        super().__init__(path, index.length, index.fps, index.shown, times=index.times, min_readable=min_readable)
        self._reference: PyAVVideo | None = None

    def _gains(self, needed: np.ndarray) -> bool:
        """Whether the decoder is faster than PyAV, which decodes all from the start."""
        return True

    @abstractmethod
    def _fast(self, needed: np.ndarray) -> np.ndarray | None:
        """As `_decode`; None where the decoder fails."""

    def _decode(self, needed: np.ndarray) -> np.ndarray:
        frames = self._fast(needed) if self._gains(needed) else None
        return self._refer()._decode(needed) if frames is None else frames

    def stream(self, needed: np.ndarray) -> Iterator[np.ndarray]:
        """See `Video.stream`."""
        is_faster = self._gains(needed)
        for start, block in self._blocks(needed):
            frames = self._fast(block) if is_faster else None
            if frames is None:  # PyAV goes on to the end: how many may be lost is a matter of all that are wanted
                yield from self._refer().stream(needed, skip=start)
                return
            yield from frames

    def _refer(self) -> PyAVVideo:
        """The same video with PyAV; its warnings are those of this one."""
        if self._reference is None:
            self._reference = PyAVVideo(self.path, min_readable=self.min_readable)
            self._warnings, self._stand_ins = self._reference._warnings, self._reference._stand_ins
        return self._reference
