"""Video decoders behind one small interface: ``with open_video(path) as video: video.frames([0, 8, 16])``.

Open a video in the process that reads it (for a data loader: inside ``__getitem__``); decord deadlocks when a reader
crosses a fork. What is read how is a page of its own, ``docs/reading.md``.
"""

import os
from functools import cache
from importlib import import_module
from typing import NamedTuple

from specvid.datasets.decode.base import MIN_READABLE, Video
from specvid.datasets.decode.index import Way, _frame_index, frame_index
from specvid.datasets.decode.opening import import_decord
from specvid.datasets.decode.probe import Probe, _read_header, probe
from specvid.datasets.decode.structure.find import _find_structure
from specvid.datasets.decode.survey import _survey
from specvid.datasets.decode.timing import Timing
from specvid.errors import unknown


class _Decoder(NamedTuple):
    module: str  # imported when it is used
    name: str
    exact_on: tuple[Way, ...]


_DECODERS = {
    "decord": _Decoder("specvid.datasets.decode.decord", "DecordVideo", ("jump",)),
    "pyav": _Decoder("specvid.datasets.decode.pyav", "PyAVVideo", ("jump", "other")),
    "torchcodec": _Decoder("specvid.datasets.decode.torchcodec", "TorchCodecVideo", ("jump",)),
}

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
        ValueError: it is unknown or not installed (with the command that installs it); not for ``decord``, which PyAV
            replaces where it is not there.
    """
    if decoder not in _DECODERS:
        raise unknown("decoder", decoder, _DECODERS)
    if decoder == "torchcodec":
        from specvid.datasets.decode.torchcodec import decoder_class

        decoder_class()


@cache
def has_decord() -> bool:
    """Whether decord is installed and loads; there are platforms that it has no wheels for."""
    try:
        import_decord()
    except Exception:  # not there, or a library that it needs is not
        return False
    return True


def forget_headers() -> None:
    """Forget what was learnt from files opened before (it is kept per path, size and time of change)."""
    for known in (_read_header, _find_structure, _frame_index, _survey):
        known.cache_clear()


def open_video(
    path: str | os.PathLike[str],
    decoder: str = "decord",
    *,
    min_readable: float = MIN_READABLE,
    folder_fps: float = 25.0,
) -> Video:
    """Open a video file, or a folder of images as a video.

    All decoders give the same frames: where one is not exact, refuses a file or fails at it, PyAV takes its place.

    Args:
        path: of the file or folder.
        decoder: one of `list_decoders`.
        min_readable: share of the frames wanted at once that must decode, 0 to 1. The nearest ones stand in for the
            others, reported in ``video.warning``.
        folder_fps: frame rate of a folder of images, which says nothing about it.

    Returns:
        A context manager: ``len(video)`` frames, ``video.fps``, ``video.frames(indices)`` -> uint8 RGB (T, H, W, 3).

    Raises:
        VideoError: (one line: path and reason) the file is missing, empty, damaged or without pictures.
        ValueError: an unknown decoder or one that is not installed, or a share outside 0 to 1.
    """
    path = os.fspath(path)
    check_decoder(decoder)
    if not 0 <= min_readable <= 1:
        raise ValueError(f"min_readable = {min_readable}: expected a share, 0 to 1.")
    if os.path.isdir(path):
        from specvid.datasets.decode.frame_folder import FrameFolder

        return FrameFolder(path, folder_fps, min_readable=min_readable)
    if frame_index(path).way not in _DECODERS[decoder].exact_on or (decoder == "decord" and not has_decord()):
        decoder = "pyav"
    return getattr(import_module(_DECODERS[decoder].module), _DECODERS[decoder].name)(path, min_readable=min_readable)
