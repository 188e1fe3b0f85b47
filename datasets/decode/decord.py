"""decord: the default decoder (Apache-2.0; decord2, https://github.com/johnnynunez/decord2, under the name of
https://github.com/dmlc/decord), made exact and made to report what it normally hides.

Habits that are dealt with here:

- It jumps to key frames that are not where it thinks they are: such files it does not get (`index.py`);
- past the last frame that it can decode it repeats the previous one. ``fault_tol`` just above zero turns the first
  repetition into an error. Right after a jump it rewinds and returns an earlier frame without counting it: its
  position then shows it;
- it does so on sound Xvid files too: while it skips it may lose the very last frame (a race of its two threads). So
  whatever it fails at is read once more with PyAV, which has the last word;
- it makes pictures of frames that it skips, whereby it is slower than PyAV wherever it does not jump over any;
- skipping more than 128 frames past the end never returns (https://github.com/dmlc/decord/issues/373), so a long skip
  is cut into short ones by reading a frame in between;
- it believes what a header says, and dies of it (2^31 frames, say): it only gets files whose frames were counted.

What no decoder sees while it reads a part: frames that are lost inside a file without leaving a trace in the packets'
headers move the numbers of those after them. ``specvid data check`` decodes every file completely and names such ones.
"""

import os
from typing import Any

import numpy as np
from torch.utils.dlpack import from_dlpack

from specvid.datasets.decode.base import MIN_READABLE
from specvid.datasets.decode.fast import FastVideo
from specvid.datasets.decode.opening import import_decord, plain_name

# One thread: workers are what fills the cores. With more, decord costs more in total and fails on some files
# ("Error sending packet", https://github.com/dmlc/decord/issues/246).
_THREADS = 1
_NO_REPETITION = "0.000000001"  # fraction of the frames that may be repeated; decord reads 0 as "any"
_LONGEST_SKIP = 100  # frames; decord survives 128 past the end
_NEAR = 16  # frames; a jump restarts decord's threads twice, which takes as long as decoding about so many


class DecordVideo(FastVideo):
    """A video read with decord, and with PyAV what decord refuses or fails at.

    Args:
        path: of a video in which decord is exact.
        min_readable: see `Video`.
    """

    def __init__(self, path: str | os.PathLike[str], *, min_readable: float = MIN_READABLE) -> None:
        super().__init__(path, min_readable=min_readable)
        self._reader: Any = None
        self._is_open = False

    def _gains(self, needed: np.ndarray) -> bool:
        """Only where it can jump over something, or goes on where it is: it makes pictures of frames that nobody wants
        too, so that decoding all with PyAV takes 0.7 to 0.9 times as long."""
        if self._reader is not None and 0 < self._position() <= needed[0]:
            return True
        if self.index.keys is None:
            return False
        before = np.append(0, needed[:-1] + 1)
        keys = np.append(0, self.index.keys)
        key = keys[np.searchsorted(keys, needed, side="right") - 1]
        return bool((key - before).max() > _NEAR)

    def _open(self) -> Any:
        """decord's reader; None where it does not open the file as it was counted."""
        decord = import_decord()
        decord.logging.set_level(decord.logging.QUIET)
        try:
            reader = decord.VideoReader(plain_name(self.path), num_threads=_THREADS, fault_tol=_NO_REPETITION)
        except Exception:  # of many classes
            return None
        return reader if len(reader) == len(self) else None

    def _fast(self, needed: np.ndarray) -> np.ndarray | None:
        if not self._is_open:
            self._reader, self._is_open = self._open(), True
        if self._reader is None:
            return None
        try:
            steps, places = self._plan(needed)
            # Through DLPack, because `asnumpy` would copy the clip once more.
            batch = from_dlpack(self._reader.get_batch(steps).to_dlpack()).numpy()
            if self._position() == steps[-1] + 1 and batch.shape[1:] == (*self.size, 3):
                return batch if len(steps) == len(needed) else batch[places]
        except Exception:  # decord's errors, or Python's where it gives up in between
            pass
        self._reader = self._open()
        return None

    def _plan(self, needed: np.ndarray) -> tuple[list[int], list[int]]:
        """The frames to read, so that decord neither jumps needlessly nor skips too far, and where the needed ones are
        among them."""
        at = self._position()
        keys = [key for key in self._reader.get_key_indices() if 0 < key <= needed[-1]]
        steps: list[int] = []
        places: list[int] = []
        for frame in needed.tolist():
            crossed = [key for key in keys if at < key <= frame]
            if at > frame or (crossed and crossed[-1] - at > _NEAR):
                # decord jumps to the last key frame and skips from there
                at = max((key for key in keys if key <= frame), default=0)
                crossed = []
            # It jumps whenever a key frame lies between its position and the next frame, unless it arrives at the key
            # frame by reading the one before.
            stops = {frame, *(key - 1 for key in crossed)}
            for stop in sorted(stops):
                steps += range(at + _LONGEST_SKIP, stop, _LONGEST_SKIP)
                if stop >= at:
                    steps.append(stop)
                    at = stop + 1
            places.append(len(steps) - 1)
        return steps, places

    def _position(self) -> int:
        """The number of the frame that decord would read next."""
        from decord.video_reader import _CAPI_VideoReaderGetCurrentPosition as position

        return position(self._reader._handle)

    def close(self) -> None:
        """Release the file."""
        self._reader, self._is_open = None, False
