"""Writes copies of videos, or parts of them, that any player shows: H.264, or MPEG-4 where it cannot be encoded."""

import os
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from specvid.datasets.decode.base import Video

_TICKS = 60_000  # a second, of frames that are not evenly spaced; MPEG-4 takes no more than 65,535
_QUALITY = {"libx264": {"crf": "20", "preset": "veryfast"}, "mpeg4": {"qmin": "2", "qmax": "5"}}


def copy_frames(
    video: Video,
    out: str | os.PathLike[str],
    first: int,
    last: int,
    *,
    change: Callable[[int, np.ndarray], np.ndarray] = lambda number, frame: frame,
) -> None:
    """Write consecutive frames of a video as a file, at the times at which it shows them. Sound is left out.

    Args:
        video: the video.
        out: the file; its suffix says which container.
        first: the first frame.
        last: the last one, which is part of the copy.
        change: gets the number of a frame and the frame, uint8 (H, W, 3); returns what is written, of the same size.

    Raises:
        ValueError: FFmpeg cannot write such a file, or the video cannot be decoded (`VideoError`).
    """
    import av

    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    times = video.times
    rate = _TICKS if times is not None else Fraction(video.fps or 25).limit_denominator(1001)
    try:
        container: Any = av.open(str(out), "w")
    except (ValueError, av.FFmpegError) as error:
        raise ValueError(f"{str(out)!r} cannot be written: {error}. Name a file that ends in .mp4.") from None
    with container:
        stream: Any = container.add_stream(codec, rate=rate, options=_QUALITY[codec])
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(video.stream(np.arange(first, last + 1)), start=first):
            picture = _even(change(number, frame))
            if number == first:
                stream.height, stream.width = picture.shape[:2]
            copy = av.VideoFrame.from_ndarray(picture, format="rgb24")
            copy.pts = number - first if times is None else round((times[number] - times[first]) * _TICKS)
            copy.time_base = 1 / Fraction(rate)
            container.mux(stream.encode(copy))
        container.mux(stream.encode())


def _even(frame: np.ndarray) -> np.ndarray:
    """Sides that H.264 takes: an odd one gets its last line twice."""
    height, width = frame.shape[:2]
    return np.ascontiguousarray(np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))
