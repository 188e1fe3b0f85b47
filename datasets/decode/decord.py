"""decord: the default decoder (Apache-2.0, https://github.com/dmlc/decord), made exact and made to tell what it
normally hides.

Habits of version 0.6.0 that are dealt with here:

- It jumps to key frames that are not where it thinks they are: where that can happen (`exact.py`), it is led from
  frame 0 instead;
- past the last frame that it can decode it repeats the previous one. ``fault_tol`` just above zero turns the first
  repetition into an error. Right after a jump it rewinds and returns an earlier frame without counting it: its
  position then shows it;
- it does so on sound Xvid files too: while it skips it may lose the very last frame (a race of its two threads; 1
  read in 5 of UCF-101's). So it does not skip near the end, and whatever it fails at is read once more with PyAV,
  which has the last word;
- skipping more than 128 frames past the end never returns (https://github.com/dmlc/decord/issues/373), so a long skip
  is cut into short ones by reading a frame in between;
- it takes the packets that are there for the whole video, so a file that was cut off merely looks shorter: the
  header's count tells.

What no decoder sees while it reads a part: frames that are lost inside a file move the numbers of those after them.
``specvid data check`` decodes every file whole and names such ones.
"""

import os
from typing import Any

import numpy as np
from torch.utils.dlpack import from_dlpack

from specvid.datasets.decode.base import Video
from specvid.datasets.decode.exact import way_to_frames
from specvid.datasets.decode.pyav import PyAVVideo
from specvid.errors import VideoError

# One thread: workers are what fills the cores. With more, decord costs more in total and fails on some files
# ("Error sending packet", https://github.com/dmlc/decord/issues/246).
_THREADS = 1
_NO_REPETITION = "0.000000001"  # fraction of the frames that may be repeated; decord reads 0 as "any"
_LONGEST_SKIP = 100  # frames; decord survives 128 past the end
_NEAR = 16  # frames; a jump restarts decord's threads twice, which takes as long as decoding about so many
_NO_SKIP_AT_END = 8  # frames; fewer fail more often


class DecordVideo(Video):
    """A video read with decord."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self._way = way_to_frames(self.path)
        self._reader = self._open()
        self._length = self._check_whole(len(self._reader))

    def _open(self) -> Any:
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        try:
            return decord.VideoReader(self.path, num_threads=_THREADS, fault_tol=_NO_REPETITION)
        except (decord.DECORDError, RuntimeError, AssertionError) as error:
            raise VideoError(self.path, f"cannot be opened ({_short(error)})") from None

    def __len__(self) -> int:
        return self._length

    def _decode(self, needed: np.ndarray) -> np.ndarray:
        from decord import DECORDError, DECORDLimitReachedError

        try:
            steps, places = self._plan(needed)
            # Through DLPack, because `asnumpy` would copy the clip once more.
            batch = from_dlpack(self._reader.get_batch(steps).to_dlpack()).numpy()
            failed = self._position() != steps[-1] + 1
        except (DECORDError, DECORDLimitReachedError):
            failed = True
        if failed:
            self._reader = self._open()
            with PyAVVideo(self.path) as video:
                return video._decode(needed)
        return batch if len(steps) == len(needed) else batch[places]

    def _plan(self, needed: np.ndarray) -> tuple[list[int], list[int]]:
        """The frames to read, so that decord neither jumps wrongly nor needlessly nor skips too far, and the places
        of the needed ones among them.
        """
        at = self._position()
        keys = [key for key in self._reader.get_key_indices() if 0 < key <= needed[-1]]
        if self._way == "walk" and at > needed[0]:
            self._reader = self._open()  # going back would be a jump
            at = 0
        steps: list[int] = []
        places: list[int] = []
        for frame in needed.tolist():
            crossed = [key for key in keys if at < key <= frame]
            if self._way == "jump" and (at > frame or (crossed and crossed[-1] - at > _NEAR)):
                # decord jumps to the last key frame and skips from there
                at = max((key for key in keys if key <= frame), default=0)
                crossed = []
            # It jumps whenever a key frame lies between its position and the next frame, unless it arrives at the key
            # frame by reading the one before.
            stops = {frame, *(key - 1 for key in crossed)}
            if self._way == "walk":
                stops.update(range(max(at, len(self) - _NO_SKIP_AT_END), frame))
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
        self._reader = None


def _short(error: BaseException) -> str:
    """The sentence of a decord error without its time stamp, source line and stack."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return first.rsplit("]", 1)[-1].split(": ", 1)[-1].strip()[:160]
