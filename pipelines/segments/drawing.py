"""A copy of a video that shows its segments: the names of what happens in the corner, while it happens."""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from specvid.datasets.decode import open_video
from specvid.datasets.decode.copying import copy_frames
from specvid.files import output_file, output_folder, replacing_file
from specvid.fonts import font_for
from specvid.pipelines.engine.isolated import IsolatedCalls
from specvid.pipelines.segments.merging import Segment
from specvid.pipelines.segments.writing import distinct_files, file_of
from specvid.text import one_line

_PATIENCE = 86_400.0  # s that drawing may take


class Drawer:
    """Draws the segments of each video when it has ended; does nothing without a path.

    Args:
        out: the file to write; of several videos the folder of ``NAME.mp4``.
        videos: all that will come.
        fps: of folders of images.

    Raises:
        ValueError: two videos would be one file, or the file is one of the videos.
    """

    def __init__(self, out: str, videos: Sequence[str], *, fps: float | None = None) -> None:
        self.out, self.single, self.fps = out, len(videos) == 1, fps
        self._segments: list[Segment] = []
        if out and self.single:
            self.out = str(output_file("draw", out))
        elif out:
            output_folder("draw", out)
            distinct_files(videos, out, ".mp4")
        for video in videos if out else ():
            if os.path.exists(self._file(video)) and os.path.samefile(self._file(video), video):
                raise ValueError(f"draw {out!r} would replace the video {video!r}: name another file.")

    def add(self, segment: Segment) -> None:
        """Take the next segment of the video.

        Args:
            segment: what happens in it.
        """
        if self.out:
            self._segments.append(segment)

    def close(self, path: str) -> str:
        """End a video: draw it.

        Args:
            path: the video.

        Returns:
            Why that is not possible; empty where it is.
        """
        try:
            if self.out:
                font = font_for(_names(self._segments))  # here, where its warning is seen
                with IsolatedCalls(seconds=_PATIENCE) as isolated:  # a file may kill whatever decodes it
                    isolated(path, draw_segments, path, self._file(path), self._segments, self.fps, font)
        except ValueError as error:
            return str(error)
        finally:
            self.drop()
        return ""

    def drop(self) -> None:
        """Forget the segments of a video that has failed."""
        self._segments = []

    def _file(self, path: str) -> Path:
        return Path(self.out) if self.single else file_of(path, self.out, ".mp4")


def draw_segments(
    path: str, out: str | Path, segments: Sequence[Segment], fps: float | None = None, font: str | None = None
) -> None:
    """Write a copy of a video with the names of segments. Sound is left out.

    Args:
        path: the video, or a folder of images.
        out: the file to write, ``.mp4`` or another container that FFmpeg knows; replaced in one step.
        segments: of this video, in the order of their first frames.
        fps: of a folder of images; 25 if not given.
        font: the file of a font; one that has the letters of the names if not given.

    Raises:
        ValueError: the video cannot be read (`VideoError`), or FFmpeg cannot write such a file.
    """
    with open_video(path, folder_fps=fps or 25.0) as video, replacing_file(out) as file:
        change = _Annotation(segments, font or font_for(_names(segments)))
        copy_frames(video, file, 0, len(video) - 1, change=change)


def _names(segments: Sequence[Segment]) -> str:
    return "".join(sorted({one_line(name) for segment in segments for name, _ in segment.classes} | {"0123456789 %"}))


class _Annotation:
    """Draws names into frames that come in order."""

    def __init__(self, segments: Sequence[Segment], font: str) -> None:
        self._upcoming, self._active, self._font = list(reversed(segments)), list[Segment](), font

    def __call__(self, number: int, frame: np.ndarray) -> np.ndarray:
        while self._upcoming and self._upcoming[-1].first_frame <= number:
            self._active.append(self._upcoming.pop())
        self._active = [segment for segment in self._active if segment.last_frame >= number]
        lines = tuple(f"{one_line(name)} {share:.0%}" for part in self._active for name, share in part.classes)
        if not lines:
            return frame
        picture, label = frame.copy(), _label(lines, max(10, frame.shape[0] // 16), self._font)
        part = picture[: label.shape[0], : label.shape[1]]
        label = label[: part.shape[0], : part.shape[1]]
        part[:] = np.maximum(label, part // 3)
        return picture


@lru_cache(maxsize=16)
def _label(lines: tuple[str, ...], size: int, file: str) -> np.ndarray:
    """White text on black, uint8 (h, w, 3): ``size`` px high letters of the font in a file."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(file, size)
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox(
        (0, 0), "\n".join(lines), font=font
    )
    space = size // 3
    image = Image.new("L", (int(right - left) + 2 * space, int(bottom - top) + 2 * space))
    ImageDraw.Draw(image).multiline_text((space - left, space - top), "\n".join(lines), fill=255, font=font)
    return np.repeat(np.asarray(image)[..., None], 3, axis=2)
