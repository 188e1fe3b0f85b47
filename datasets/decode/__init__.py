"""Video decoders behind one small interface: ``with open_video(path) as video: video.frames([0, 8, 16])``.

Open a video in the process that reads it (for a data loader: inside ``__getitem__``); decord deadlocks when a reader
crosses a fork.
"""

import os
from importlib import import_module
from typing import NamedTuple

from specvid.datasets.decode.base import Video
from specvid.datasets.decode.exact import Way, _way_to_frames, way_to_frames
from specvid.datasets.decode.probe import Probe, _read_header, probe
from specvid.errors import unknown


class _Decoder(NamedTuple):
    module: str  # imported when it is used
    name: str
    exact_on: tuple[Way, ...]


_DECODERS = {
    "decord": _Decoder("specvid.datasets.decode.decord", "DecordVideo", ("jump", "walk")),
    "pyav": _Decoder("specvid.datasets.decode.pyav", "PyAVVideo", ("jump", "walk", "other")),
    "torchcodec": _Decoder("specvid.datasets.decode.torchcodec", "TorchCodecVideo", ("jump",)),
}

__all__ = ["Probe", "Video", "check_decoder", "forget_headers", "list_decoders", "open_video", "probe"]


def list_decoders() -> list[str]:
    """Names that ``open_video`` takes, the default first."""
    return list(_DECODERS)


def check_decoder(decoder: str) -> None:
    """``ValueError`` for an unknown decoder, or one that is not installed (with the command that installs it)."""
    if decoder not in _DECODERS:
        raise unknown("decoder", decoder, _DECODERS)
    if decoder == "torchcodec":
        from specvid.datasets.decode.torchcodec import decoder_class

        decoder_class()


def forget_headers() -> None:
    """Forget what was learnt from files opened before (it is kept per path, size and time of change)."""
    _read_header.cache_clear()
    _way_to_frames.cache_clear()


def open_video(path: str | os.PathLike[str], decoder: str = "decord") -> Video:
    """Open a video file. A file in which the decoder's frame numbers are not exact is left to ``pyav`` (see
    `exact.py`).

    Returns: a ``Video`` (a context manager): ``len(video)`` frames, ``video.fps``, ``video.frames(indices)`` -> uint8
    RGB (T, H, W, 3).
    Raises: ``VideoError`` (one line: path and reason) for a missing, empty, damaged, cut-off or audio-only file;
    ``ValueError`` for an unknown decoder or one that is not installed.
    """
    path = os.fspath(path)
    check_decoder(decoder)
    if way_to_frames(path) not in _DECODERS[decoder].exact_on:
        decoder = "pyav"
    return getattr(import_module(_DECODERS[decoder].module), _DECODERS[decoder].name)(path)
