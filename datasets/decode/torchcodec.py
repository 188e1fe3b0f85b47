"""torchcodec: PyTorch's decoder (BSD-3-Clause, https://github.com/meta-pytorch/torchcodec). Optional: needs FFmpeg's
libraries on the system."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from specvid.datasets.decode.base import MIN_READABLE, Video
from specvid.datasets.decode.images import reduce
from specvid.datasets.decode.index import frame_index
from specvid.datasets.decode.opening import plain_name
from specvid.datasets.decode.pyav import PyAVVideo


class TorchCodecVideo(Video):
    """A video read with torchcodec, in its exact seek mode (it scans the file when it opens it), and with PyAV what it
    refuses or fails at.

    Args:
        path: of a video in which frames can be looked up by their times.
        min_readable: see `Video`.
        resize: see `open_video`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        min_readable: float = MIN_READABLE,
        resize: int | tuple[int, int] | None = None,
    ) -> None:
        index = frame_index(os.fspath(path))
        size = index.shape.reduced(resize).shown
        super().__init__(path, index.length, index.fps, size, times=index.times, min_readable=min_readable)
        self._resize, self._decoded = resize, index.shape.shown
        self._reference: PyAVVideo | None = None
        self._decoder: Any = None
        try:
            decoder = decoder_class()(
                plain_name(self.path), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact"
            )
        except (RuntimeError, ValueError):
            return
        if len(decoder) == len(self):
            self._decoder = decoder

    def _decode(self, needed: np.ndarray) -> np.ndarray:
        frames = self._fast(needed)
        return self._refer()._decode(needed) if frames is None else frames

    def stream(self, needed: np.ndarray) -> Iterator[np.ndarray]:
        """See `Video.stream`."""
        for start, block in self._blocks(needed):
            frames = self._fast(block)
            if frames is None:  # PyAV goes on to the end: how many may be lost is a matter of all that are wanted
                yield from self._refer().stream(needed, skip=start)
                return
            yield from frames

    def _fast(self, needed: np.ndarray) -> np.ndarray | None:
        """As `_decode`; None where torchcodec fails."""
        if self._decoder is None:
            return None
        try:
            frames = self._decoder.get_frames_at(indices=needed.tolist()).data.numpy()
        except (RuntimeError, IndexError):
            return None
        if frames.shape[1:3] != self._decoded:
            return None
        return frames if self.size == self._decoded else np.stack([reduce(frame, self._resize) for frame in frames])

    def _refer(self) -> PyAVVideo:
        """The same video with PyAV; its warnings are those of this one."""
        if self._reference is None:
            self._reference = PyAVVideo(self.path, min_readable=self.min_readable, resize=self._resize)
            self._warnings, self._stand_ins = self._reference._warnings, self._reference._stand_ins
        return self._reference

    def close(self) -> None:
        """Release the file."""
        self._decoder = None
        if self._reference is not None:
            self._reference.close()


def decoder_class() -> Any:
    """torchcodec's ``VideoDecoder``.

    Raises:
        ValueError: it is not there or does not load; with the command that helps.
    """
    try:
        from torchcodec.decoders import VideoDecoder
    except ImportError:
        raise ValueError(
            "decoder 'torchcodec' is not installed. Install it with `pip install torchcodec` (it also needs FFmpeg's "
            "libraries, e.g. `apt install ffmpeg`), or use decoder 'pyav'."
        ) from None
    except RuntimeError as error:  # installed, but FFmpeg's libraries are not
        raise ValueError(
            f"decoder 'torchcodec' is installed but does not load ({_first_line(error)}). Install FFmpeg's libraries, "
            "e.g. `apt install ffmpeg`, and the torchcodec of your torch, `pip install --upgrade torchcodec`; "
            "or use decoder 'pyav'."
        ) from None
    return VideoDecoder


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
