"""An open video file, and how far it is decoded: frames one after the other, from the start or from a key frame.

Frames are counted from the start of the file. Where their time stamps are known, each frame must carry its own: so one
that is lost without an error does not move the numbers of the others, and a jump shows where it really landed.
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
        shown: height and width of its pictures, px, as a jump must find them.
        tolerant: go on behind packets that do not decode.

    Attributes:
        at: place, in the order of decoding, of the frame that came last; -1 before the first one.
        jumped: whether `jump` was ever called.

    Raises:
        VideoError: there is no video in it.
        NotAsAnnounced: whatever else is wrong with the file; so do the methods.
    """

    def __init__(self, path: str, stamps: np.ndarray | None, shown: tuple[int, int], *, tolerant: bool = False) -> None:
        from av.video.reformatter import VideoReformatter

        self.at, self.jumped = -1, False
        self._stamps, self._shown, self._tolerant = stamps, shown, tolerant
        try:
            self._opened = Container(path)
        except VideoError:
            raise
        except Exception as error:
            raise NotAsAnnounced from error
        self._opened.stream.thread_count = 1
        self._frames, self._lands = self._decode(), False
        self._shape: Shape | None = None
        self._converter = VideoReformatter()

    def jump(self, key: int) -> None:
        """Go on at a key frame.

        Args:
            key: its number, of a file with time stamps.
        """
        assert self._stamps is not None
        self.jumped = self._lands = True
        self._frames.close()
        try:
            self._opened.container.seek(int(self._stamps[key]), stream=self._opened.stream)
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
        while self.at < place or self._lands:
            frame = self._next()
        if self.at > place:  # the jump landed behind it
            raise NotAsAnnounced
        assert self._shape is not None
        return to_rgb(frame, self._shape, self._converter)

    def close(self) -> None:
        """Release the file."""
        self._frames.close()
        self._opened.close()

    def _next(self) -> Any:
        frame = next(self._frames, None)
        if frame is None:
            raise NotAsAnnounced
        if self._shape is None:
            self._shape = shape_of(frame, self._opened.stream.sample_aspect_ratio)
            if self._lands and self._shape.shown != self._shown:
                raise NotAsAnnounced
        self.at = self._landed(frame) if self._lands else self.at + 1
        self._lands = False
        if self._stamps is not None and (self.at >= len(self._stamps) or frame.pts != self._stamps[self.at]):
            raise NotAsAnnounced
        return frame

    def _landed(self, frame: Any) -> int:
        """The number of the first frame behind a jump."""
        if frame.pts is None or self._stamps is None:
            raise NotAsAnnounced
        return int(np.searchsorted(self._stamps, frame.pts))

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
