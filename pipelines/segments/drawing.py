"""A copy of a video that shows its segments: the names of what happens in the corner, while it happens."""

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from specvid.datasets.decode import Video, open_video
from specvid.files import replacing_file
from specvid.pipelines.segments.merging import Segment
from specvid.pipelines.segments.writing import distinct_files, file_of
from specvid.text import one_line

_TICKS = 60_000  # a second, of frames that are not evenly spaced; MPEG-4 takes no more than 65,535
_QUALITY = {"libx264": {"crf": "20", "preset": "veryfast"}, "mpeg4": {"qmin": "2", "qmax": "5"}}


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
        if out and not self.single:
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
                draw_segments(path, self._file(path), self._segments, fps=self.fps)
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


def draw_segments(path: str, out: str | Path, segments: Sequence[Segment], *, fps: float | None = None) -> None:
    """Write a copy of a video with the names of segments. Sound is left out.

    Args:
        path: the video, or a folder of images.
        out: the file to write, ``.mp4`` or another container that FFmpeg knows; replaced in one step.
        segments: of this video, in the order of their first frames.
        fps: of a folder of images; 25 if not given.

    Raises:
        ValueError: the video cannot be read (`VideoError`), or FFmpeg cannot write such a file.
    """
    import av

    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with open_video(path, folder_fps=fps or 25.0) as video, replacing_file(out) as file:
        rate = _TICKS if video.times is not None else Fraction(video.fps or 25).limit_denominator(1001)
        try:
            container: Any = av.open(str(file), "w")
        except (ValueError, av.FFmpegError) as error:
            raise ValueError(f"draw {str(out)!r} cannot be written: {error}. Name a file that ends in .mp4.") from None
        with container:
            stream: Any = container.add_stream(codec, rate=rate, options=_QUALITY[codec])
            stream.pix_fmt = "yuv420p"
            for number, picture in enumerate(_annotated(video, segments)):
                if not number:
                    stream.height, stream.width = picture.shape[:2]
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = round(video.times[number] * _TICKS) if video.times is not None else number
                frame.time_base = 1 / Fraction(rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())


def _annotated(video: Video, segments: Sequence[Segment]) -> Iterator[np.ndarray]:
    """All frames with names, uint8 (H, W, 3) with even sides."""
    upcoming, active = list(reversed(segments)), list[Segment]()
    for number, frame in enumerate(video.stream(np.arange(len(video)))):
        while upcoming and upcoming[-1].first_frame <= number:
            active.append(upcoming.pop())
        active = [segment for segment in active if segment.last_frame >= number]
        lines = tuple(f"{one_line(name)} {share:.0%}" for segment in active for name, share in segment.classes)
        height, width = frame.shape[:2]
        picture = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if lines:
            label = _label(lines, max(10, height // 16))
            part = picture[: label.shape[0], : label.shape[1]]
            part[:] = np.where(
                label[: part.shape[0], : part.shape[1]] > 0, label[: part.shape[0], : part.shape[1]], part // 3
            )
        yield picture


@lru_cache(maxsize=16)
def _label(lines: tuple[str, ...], size: int) -> np.ndarray:
    """White text on black, uint8 (h, w, 3): ``size`` px high letters of the font that Matplotlib brings."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox(
        (0, 0), "\n".join(lines), font=font
    )
    space = size // 3
    image = Image.new("L", (int(right - left) + 2 * space, int(bottom - top) + 2 * space))
    ImageDraw.Draw(image).multiline_text((space - left, space - top), "\n".join(lines), fill=255, font=font)
    return np.repeat(np.asarray(image)[..., None], 3, axis=2)
