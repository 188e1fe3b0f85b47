"""Video decoders behind one small interface: ``with open_video(path) as video: video.frames([0, 8, 16])``.

Open a video in the process that reads it (for a data loader: inside ``__getitem__``); decord deadlocks when a reader
crosses a fork.
"""

import os
from importlib import import_module

from specvid.datasets.decode.base import Video
from specvid.datasets.decode.exact import _way_to_frames, way_to_frames
from specvid.datasets.decode.probe import Probe, _read_header, probe
from specvid.datasets.errors import unknown

_DECODERS = {
    "decord": ("specvid.datasets.decode.decord", "DecordVideo"),
    "pyav": ("specvid.datasets.decode.pyav", "PyAVVideo"),
    "torchcodec": ("specvid.datasets.decode.torchcodec", "TorchCodecVideo"),
}
__all__ = ["Probe", "Video", "forget_headers", "list_decoders", "open_video", "probe"]


def list_decoders() -> list[str]:
    """Names that ``open_video`` takes, the default first."""
    return list(_DECODERS)


def forget_headers() -> None:
    """Forget what was learnt from files opened before (it is kept per path, size and time of change)."""
    _read_header.cache_clear()
    _way_to_frames.cache_clear()


def open_video(path: str | os.PathLike[str], decoder: str = "decord") -> Video:
    """Open a video file. ``decord`` leaves the rare files in which it is not exact to ``pyav``.

    Returns: a ``Video`` (a context manager): ``len(video)`` frames, ``video.fps``, ``video.frames(indices)`` -> uint8
    RGB (T, H, W, 3).
    Raises: ``VideoError`` (one line: path and reason) for a missing, empty, damaged, cut-off or audio-only file;
    ``ValueError`` for an unknown decoder or one that is not installed.
    """
    path = os.fspath(path)
    if decoder not in _DECODERS:
        raise unknown("decoder", decoder, _DECODERS)
    if decoder == "decord" and way_to_frames(path) == "other":
        decoder = "pyav"
    module, name = _DECODERS[decoder]
    return getattr(import_module(module), name)(path)
