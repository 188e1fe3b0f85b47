"""An open video file, and how far it is decoded: frames one after the other, from the start or from a key frame.

Frames are counted from the start of the file. Where their time stamps are known, each frame must carry its own: so one
that is lost without an error does not move the numbers of the others. A jump must land at the very frame that it was
for, and that must say itself that nothing before it is needed: containers say so of other frames, too.
"""

from collections.abc import Generator
from typing import Any

import numpy as np

from specvid.datasets.decode.opening import Container
from specvid.datasets.decode.picture import Shape, shape_of, to_rgb
from specvid.errors import VideoError


class NotAsAnnounced(Exception):
    """The frames that come are not those of the index."""


class Cursor:
    """A file that is open for decoding.

    Args:
        path: of the file.
        stamps: (N,) time stamps of its frames, rising, where they are known.
        shape: of its pictures, as a jump must find them.
        resize: what larger pictures are reduced to, see `Shape.reduced`.
        tolerant: go on behind packets that do not decode.

    Attributes:
        at: place, in the order of decoding, of the frame that came last; -1 before the first one.
        jumped: whether it ever jumped.

    Raises:
        VideoError: there is no video in it.
        NotAsAnnounced: whatever else is wrong with the file; so do the methods.
    """

    def __init__(
        self,
        path: str,
        stamps: np.ndarray | None,
        shape: Shape,
        *,
        resize: int | tuple[int, int] | None = None,
        tolerant: bool = False,
    ) -> None:
        from av.video.reformatter import VideoReformatter

        self.at, self.jumped = -1, False
        self._stamps, self._expected, self._resize, self._tolerant = stamps, shape, resize, tolerant
        try:
            self._opened = Container(path)
        except VideoError:
            raise
        except Exception as error:
            raise NotAsAnnounced from error
        self._opened.stream.thread_count = 1
        self._frames = self._decode()
        self._landing: int | None = None  # time stamp of the frame that must come now
        self._shape: Shape | None = None  # as it is stored
        self._picture: Shape | None = None
        self._converter = VideoReformatter()

    def jump(self, key: int, stamp: int) -> None:
        """Go on at a key frame.

        Args:
            key: its number.
            stamp: its time stamp.
        """
        self.at, self.jumped, self._landing = key - 1, True, stamp
        self._frames.close()
        try:
            self._opened.container.seek(stamp, stream=self._opened.stream)
        except Exception as error:
            raise NotAsAnnounced from error
        self._frames = self._decode()

    def picture(self, place: int) -> np.ndarray:
        """Decode on to a frame.

        Args:
            place: behind `at`, in the order of decoding.

        Returns:
            uint8 RGB (H, W, 3).
        """
        while self.at < place:
            frame = self._next()
        assert self._picture is not None
        return to_rgb(frame, self._picture, self._converter)

    def close(self) -> None:
        """Release the file."""
        self._frames.close()
        self._opened.close()

    def _next(self) -> Any:
        frame = next(self._frames, None)
        if frame is None:
            raise NotAsAnnounced
        self.at += 1
        if self._shape is None:
            self._shape = shape_of(frame, self._opened.stream.sample_aspect_ratio)
            self._picture = self._shape.reduced(self._resize)
        if self._stamps is not None and (self.at >= len(self._stamps) or frame.pts != self._stamps[self.at]):
            raise NotAsAnnounced
        if self._landing is not None:
            if not (frame.pts == self._landing and frame.key_frame and self._shape == self._expected):
                raise NotAsAnnounced
            self._landing = None
        return frame

    def _decode(self) -> Generator[Any, None, None]:
        try:
            for packet in self._opened.container.demux(self._opened.stream):
                try:
                    frames = packet.decode()
                except Exception:
                    if not self._tolerant:
                        raise
                    continue
                yield from frames
        except Exception as error:  # of many classes, FFmpeg's and Python's
            raise NotAsAnnounced from error
