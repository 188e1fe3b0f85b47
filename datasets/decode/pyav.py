"""PyAV: FFmpeg frame by frame (BSD-3-Clause, https://pyav.org). The default, and the reference.

It decodes from the last key frame before the frames that are wanted, where the index says that decoding can begin at
it, and otherwise from the first frame on: packed B-frames (UCF-101's Xvid) carry stamps out of order, and a jump could
land anywhere. Every jump is checked; where one did not land as announced, the file is read from its start.
"""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from specvid.datasets.decode.base import MIN_READABLE, Video
from specvid.datasets.decode.cursor import Cursor, NotAsAnnounced
from specvid.datasets.decode.index import FrameIndex, frame_index
from specvid.datasets.decode.survey import Survey, survey
from specvid.errors import VideoError

_NEAR = 4  # frames; decoding so many takes about as long as a jump


def _together(frames: Iterator[np.ndarray], count: int) -> np.ndarray:
    """So many frames as one array, (count, H, W, 3)."""
    array = None
    for place, frame in enumerate(frames):
        if array is None:
            array = np.empty((count, *frame.shape), np.uint8)
        array[place] = frame
    assert array is not None
    return array


class PyAVVideo(Video):
    """A video read with PyAV.

    Args:
        path: of the video.
        min_readable: see `Video`.
        resize: see `open_video`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        min_readable: float = MIN_READABLE,
        resize: int | tuple[int, int] | None = None,
    ) -> None:
        self.index: FrameIndex = frame_index(os.fspath(path))
        index = self.index
        size = index.shape.reduced(resize).shown
        super().__init__(path, index.length, index.fps, size, times=index.times, min_readable=min_readable)
        self._resize = resize
        self._add_warning(index.warning())
        self._survey: Survey | None = index.survey
        self._can_jump = index.keys is not None
        self._cursor: Cursor | None = None

    def _decode(self, needed: np.ndarray) -> np.ndarray:
        while self._survey is None:
            try:
                return _together(self._read(needed), len(needed))
            except NotAsAnnounced:  # what came so far may have other numbers: all of it is read again
                self._look_closer()
        return _together(self.stream(needed), len(needed))

    def stream(self, needed: np.ndarray, skip: int = 0) -> Iterator[np.ndarray]:
        """See `Video.stream`.

        Args:
            needed: rising numbers.
            skip: how many of them somebody else has given already; they count among the wanted ones.
        """
        given = skip
        while self._survey is None:
            try:
                for frame in self._read(needed[given:]):
                    given += 1
                    yield frame
                return
            except NotAsAnnounced:
                self._look_closer()
        source = self._survey.nearest(needed)
        self._stand_in(needed[source != needed], len(needed), self._codec_says(self._survey))
        sources, counts = np.unique(source, return_counts=True)
        try:
            for frame, count, end in zip(self._read(sources), counts, np.cumsum(counts), strict=True):
                for _ in range(min(count, max(0, end - given))):
                    yield frame
        except NotAsAnnounced:
            raise VideoError(self.path, "does not decode the same way twice: is it being written to?") from None

    def _codec_says(self, found: Survey) -> str:
        return f"{self.index.header.codec}: {found.reason or 'no frame comes'}"

    def _look_closer(self) -> None:
        """Something came that was not announced: read from the start, or else decode all and see what there is."""
        if self._survey is not None:  # another stream of this video came upon it
            return
        if self._cursor is not None and self._cursor.jumped:
            self._can_jump = False
        else:
            self._survey = survey(self.path, self.index.packet_times)
        self.close()

    def _read(self, needed: np.ndarray) -> Iterator[np.ndarray]:
        """The frames ``needed``, each once, rising; of a video that was surveyed such as decode."""
        found = self._survey
        places = needed if found is None else np.searchsorted(found.places, needed)
        known = np.zeros(1, np.int64) if self.index.keys is None else np.append(0, self.index.keys)
        keys = known[np.searchsorted(known, places, side="right") - 1]
        for place, key in zip(places.tolist(), keys.tolist(), strict=True):
            if self._survey is not found:  # another stream of this video saw more meanwhile
                raise NotAsAnnounced
            yield self._at(place, key if self._can_jump and found is None else 0).picture(place)

    def _at(self, place: int, key: int) -> Cursor:
        """A cursor that stands before a place, near to it if there is a key frame to begin with."""
        cursor = self._cursor
        if cursor is not None and cursor.at >= place and not key:
            self.close()
            cursor = None
        if cursor is None:
            stamps = self.index.packet_times if self._survey is None else None
            settings: dict[str, Any] = {"resize": self._resize, "tolerant": self._survey is not None}
            cursor = self._cursor = Cursor(self.path, stamps, self.index.shape, **settings)
        if key and (cursor.at >= place or key - cursor.at > _NEAR):
            cursor.jump(key, self.index.stamp(key))
        return cursor

    def close(self) -> None:
        """Release the file."""
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None
