"""PyAV: FFmpeg frame by frame (BSD-3-Clause, https://pyav.org). The reference: exact on every file, slow on long ones.

Frames are counted from the start of the file, not looked up by time stamp: packed B-frames (UCF-101's Xvid) carry
stamps out of order. Where the stamps are in order they are compared with those of the index, so that a frame that is
lost without an error does not move the numbers of the others.
"""

import os
from collections.abc import Iterator

import numpy as np

from specvid.datasets.decode.base import MIN_READABLE, Video
from specvid.datasets.decode.index import FrameIndex, frame_index
from specvid.datasets.decode.opening import Container
from specvid.datasets.decode.picture import Shape, shape_of, to_rgb
from specvid.datasets.decode.survey import Survey, survey
from specvid.errors import VideoError


class _NotAsAnnounced(Exception):
    """The frames that come are not those of the index."""


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
    """A video read with PyAV, decoding from the first frame to the last one wanted.

    Args:
        path: of the video.
        min_readable: see `Video`.
    """

    def __init__(self, path: str | os.PathLike[str], *, min_readable: float = MIN_READABLE) -> None:
        self.index: FrameIndex = frame_index(os.fspath(path))
        index = self.index
        super().__init__(path, index.length, index.fps, index.shown, times=index.times, min_readable=min_readable)
        self._add_warning(index.warning())
        self._survey: Survey | None = index.survey

    def _decode(self, needed: np.ndarray) -> np.ndarray:
        if self._survey is None:
            try:
                return _together(self._numbered(needed, np.arange(len(self))), len(needed))
            except _NotAsAnnounced:  # what came so far may have other numbers: all of it is read again
                self._survey = survey(self.path, self.index.packet_times)
        return _together(self.stream(needed), len(needed))

    def stream(self, needed: np.ndarray, skip: int = 0) -> Iterator[np.ndarray]:
        """See `Video.stream`.

        Args:
            needed: rising numbers.
            skip: how many of them somebody else has given already; they count among the wanted ones.
        """
        given = 0
        if self._survey is None:
            try:
                for frame in self._numbered(needed, np.arange(len(self))):
                    given += 1
                    if given > skip:
                        yield frame
                return
            except _NotAsAnnounced:
                self._survey = survey(self.path, self.index.packet_times)
        source = self._survey.nearest(needed)
        self._stand_in(needed[source != needed], len(needed), self._codec_says(self._survey))
        sources, counts = np.unique(source, return_counts=True)
        skip = max(skip, given)
        try:
            for frame, count, end in zip(
                self._numbered(sources, self._survey.places), counts, np.cumsum(counts), strict=True
            ):
                for _ in range(min(count, max(0, end - skip))):
                    yield frame
        except _NotAsAnnounced:
            raise VideoError(self.path, "does not decode the same way twice: is it being written to?") from None

    def _codec_says(self, found: Survey) -> str:
        return f"{self.index.header.codec}: {found.reason or 'no frame comes'}"

    def _numbered(self, needed: np.ndarray, places: np.ndarray) -> Iterator[np.ndarray]:
        """The frames ``needed``, each once, rising. ``places``: numbers of the frames in the order of decoding."""
        stamps = self.index.packet_times if self._survey is None else None
        from av.video.reformatter import VideoReformatter

        wanted = iter(needed.tolist())
        number = next(wanted)
        shape: Shape | None = None
        try:
            with Container(self.path) as opened:
                stream = opened.stream
                stream.thread_count = 1
                at = -1
                converter = VideoReformatter()
                for packet in opened.container.demux(stream):
                    try:
                        frames = packet.decode()
                    except Exception:
                        if self._survey is None:
                            raise
                        continue
                    for frame in frames:
                        at += 1
                        shape = shape or shape_of(frame, stream.sample_aspect_ratio)
                        if at >= len(places) or (stamps is not None and frame.pts != stamps[at]):
                            raise _NotAsAnnounced
                        if places[at] == number:
                            yield to_rgb(frame, shape, converter)
                            number = next(wanted, -1)
                            if number < 0:
                                return
        except (VideoError, _NotAsAnnounced, GeneratorExit):
            raise
        except Exception as error:
            raise _NotAsAnnounced from error
        raise _NotAsAnnounced
