"""decord: the default decoder (Apache-2.0, https://github.com/dmlc/decord), made to tell what it normally hides.

Frame numbers are exact for it, also in the packed B-frames of UCF-101's Xvid files. Four habits of it (version 0.6.0) are dealt with here:

- Past the last decodable frame it repeats the previous one. ``fault_tol`` just above zero turns the first repetition into an error;
- right after a seek it has no previous frame, rewinds, and returns an earlier one without counting it. Its position is then not
  where it would be after the wanted frame: that is checked;
- skipping more than 128 frames past the end never returns (https://github.com/dmlc/decord/issues/373), so a long skip is cut into short
  ones by reading a frame in between;
- it takes the packets that are there for the whole video, so a file that was cut off merely looks shorter: the header's count tells.
"""

import os
from typing import Any

import numpy as np
from torch.utils.dlpack import from_dlpack

from specvid.datasets.decode.base import Video
from specvid.datasets.errors import VideoError

# One thread: workers are what fills the cores. With more, decord costs more in total and fails on some files
# ("Error sending packet", https://github.com/dmlc/decord/issues/246).
_THREADS = 1
_NO_REPETITION = "0.000000001"  # fraction of the frames that may be repeated; decord reads 0 as "any"
_LONGEST_SKIP = 100  # frames; decord survives 128 past the end


class DecordVideo(Video):
    """A video read with decord."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        try:
            self._reader: Any = decord.VideoReader(self.path, num_threads=_THREADS, fault_tol=_NO_REPETITION)
        except (decord.DECORDError, RuntimeError, AssertionError) as error:
            raise VideoError(self.path, f"cannot be opened ({_short(error)})") from None
        held, announced = len(self._reader), self.header.frames
        if held < announced:
            raise VideoError(self.path, f"is cut off: the header announces {announced} frames, the file holds {held}")

    def __len__(self) -> int:
        return len(self._reader)

    def _decode(self, needed: np.ndarray) -> np.ndarray:
        from decord import DECORDError
        from decord.video_reader import _CAPI_VideoReaderGetCurrentPosition as position

        steps, places = self._short_steps(needed)
        try:
            # Through DLPack, because `asnumpy` would copy the clip once more.
            batch = from_dlpack(self._reader.get_batch(steps).to_dlpack()).numpy()
            stopped_at = position(self._reader._handle)
        except DECORDError as error:
            raise VideoError(
                self.path,
                f"is damaged: frame {needed[-1]} or one before it of {len(self)} cannot be decoded ({_short(error)})",
            ) from None
        if stopped_at != steps[-1] + 1:
            raise VideoError(
                self.path,
                f"is damaged: frame {needed[-1]} of {len(self)} cannot be decoded (decord gave frame {stopped_at - 1} for it)",
            )
        return batch if len(steps) == len(needed) else batch[places]

    def _short_steps(self, needed: np.ndarray) -> tuple[list[int], list[int]]:
        """``needed`` with frames in between wherever decord would skip too far, and the places of the needed ones in that list."""
        keys = np.asarray(self._reader.get_key_indices() or [0], dtype=np.int64)
        steps: list[int] = []
        places: list[int] = []
        for frame in needed.tolist():
            key = int(keys[max(0, np.searchsorted(keys, frame, side="right") - 1)])
            start = max(key, steps[-1]) if steps else key
            steps.extend(range(start + _LONGEST_SKIP, frame, _LONGEST_SKIP))
            places.append(len(steps))
            steps.append(frame)
        return steps, places

    def close(self) -> None:
        self._reader = None


def _short(error: BaseException) -> str:
    """The sentence of a decord error without its time stamp, source line and stack."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return first.rsplit("]", 1)[-1].split(": ", 1)[-1].strip()[:160]
