"""PyAV: FFmpeg frame by frame (BSD-3-Clause, https://pyav.org). Exact on every file, slow on long ones.

Frames are counted from the start of the file, not looked up by time stamp: packed B-frames (UCF-101's Xvid) carry
stamps out of order.
"""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from specvid.datasets.decode.base import Video


class PyAVVideo(Video):
    """A video read with PyAV, decoding from the first frame to the last one wanted."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        import av

        self._container: Any = av.open(self.path)
        self._length = self._check_whole(sum(1 for packet in self._container.demux(video=0) if packet.size))

    def __len__(self) -> int:
        return self._length

    def _decode(self, needed: np.ndarray) -> np.ndarray:
        wanted = set(needed.tolist())
        found = [
            frame.to_ndarray(format="rgb24") for number, frame in self._numbered(int(needed[-1])) if number in wanted
        ]
        if len(found) < len(needed):
            raise self._damaged(int(needed[len(found)]))
        return np.stack(found)

    def stream(self, needed: np.ndarray) -> Iterator[np.ndarray]:
        """Frames ``needed`` (rising) one by one, each uint8 (H, W, 3), in a single pass: for long videos, where a call
        of ``frames`` for each part would begin at frame 0 again and again."""
        wanted = iter(needed.tolist())
        number = next(wanted, None)
        for at, frame in self._numbered(int(needed[-1])):
            if at == number:
                yield frame.to_ndarray(format="rgb24")
                number = next(wanted, None)
        if number is not None:
            raise self._damaged(number)

    def _numbered(self, last: int) -> Iterator[tuple[int, Any]]:
        """(number, frame) from 0 to ``last``, or to the end of what can be decoded."""
        import av

        self.close()
        self._container = av.open(self.path)  # reopening is the one seek to frame 0 that works for every format
        self._container.streams.video[0].thread_count = 1
        frames = self._container.decode(video=0)
        for number in range(last + 1):
            try:
                yield number, next(frames)
            except (StopIteration, av.FFmpegError):
                return

    def close(self) -> None:
        self._container.close()
