"""Video decoders behind one small interface: ``with open_video(path) as video: video.frames([0, 8, 16])``.

Open a video in the process that reads it (for a data loader: inside ``__getitem__``). What is read how is a page of its
own, ``docs/reading.md``.
"""

import os
from typing import Any

import numpy as np

from specvid.datasets.decode.base import MIN_READABLE, Video
from specvid.datasets.decode.index import _frame_index, frame_index
from specvid.datasets.decode.probe import Probe, _read_header, probe
from specvid.datasets.decode.structure.find import _find_structure
from specvid.datasets.decode.survey import _survey
from specvid.datasets.decode.timing import Timing
from specvid.errors import unknown

_DECODERS = ("pyav", "torchcodec")

__all__ = [
    "MIN_READABLE",
    "Probe",
    "Timing",
    "Video",
    "check_decoder",
    "forget_headers",
    "list_decoders",
    "open_video",
    "probe",
]


def list_decoders() -> list[str]:
    """Names that ``open_video`` takes, the default first."""
    return list(_DECODERS)


def check_decoder(decoder: str) -> None:
    """Check the name of a decoder.

    Args:
        decoder: one of `list_decoders`.

    Raises:
        ValueError: it is unknown or not installed (with the command that installs it).
    """
    if decoder not in _DECODERS:
        raise unknown("decoder", decoder, _DECODERS)
    if decoder == "torchcodec":
        from specvid.datasets.decode.torchcodec import decoder_class

        decoder_class()


def forget_headers() -> None:
    """Forget what was learnt from files opened before (it is kept per path, size and time of change)."""
    for known in (_read_header, _find_structure, _frame_index, _survey):
        known.cache_clear()


def open_video(
    path: str | os.PathLike[str],
    decoder: str = "pyav",
    *,
    min_readable: float = MIN_READABLE,
    folder_fps: float = 25.0,
    resize: int | tuple[int, int] | None = None,
) -> Video:
    """Open a video file, or a folder of images as a video.

    Both decoders give the same frames: PyAV takes the place of torchcodec where that is not exact or fails.

    Args:
        path: of the file or folder.
        decoder: one of `list_decoders`.
        min_readable: share of the frames wanted at once that must decode, 0 to 1. The nearest ones stand in for the
            others, reported in ``video.warning``.
        folder_fps: frame rate of a folder of images, which says nothing about it.
        resize: short side in px, or (height, width), that larger frames come in: means of the pixels inside, made while
            they are converted to RGB. Frames of which a side would be enlarged come as they are.

    Returns:
        A context manager: ``len(video)`` frames, ``video.fps``, ``video.frames(indices)`` -> uint8 RGB (T, H, W, 3).

    Raises:
        VideoError: (one line: path and reason) the file is missing, empty, damaged or without pictures.
        ValueError: an unknown decoder or one that is not installed, a share outside 0 to 1, or a size that is none.
    """
    path = os.fspath(path)
    check_decoder(decoder)
    if not 0 <= min_readable <= 1:
        raise ValueError(f"min_readable = {min_readable}: expected a share, 0 to 1.")
    if resize is not None:
        resize = _checked_size(resize)
    if os.path.isdir(path):
        from specvid.datasets.decode.frame_folder import FrameFolder

        return FrameFolder(path, folder_fps, min_readable=min_readable, resize=resize)
    if decoder == "torchcodec" and frame_index(path).torchcodec:
        from specvid.datasets.decode.torchcodec import TorchCodecVideo

        return TorchCodecVideo(path, min_readable=min_readable, resize=resize)
    from specvid.datasets.decode.pyav import PyAVVideo

    return PyAVVideo(path, min_readable=min_readable, resize=resize)


def _checked_size(resize: Any) -> int | tuple[int, int]:
    """A short side, or (height, width), as Python's integers."""
    both = isinstance(resize, list | tuple)
    sides: tuple[Any, ...] = tuple(resize) if both else (resize,)
    whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) and side >= 1 for side in sides)
    if not whole or len(sides) != 1 + both:
        raise ValueError(f"resize = {resize!r}: expected one or two whole numbers of pixels of at least 1.")
    return (int(sides[0]), int(sides[1])) if both else int(sides[0])
