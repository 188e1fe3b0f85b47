"""torchcodec: PyTorch's decoder (BSD-3-Clause, https://github.com/meta-pytorch/torchcodec). Optional: needs FFmpeg's
libraries on the system."""

import os
from typing import Any

import numpy as np

from specvid.datasets.decode.base import Video
from specvid.errors import VideoError


class TorchCodecVideo(Video):
    """A video read with torchcodec, in its exact seek mode (it scans the file when it opens it)."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        decoder = decoder_class()
        try:
            self._decoder: Any = decoder(self.path, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact")
        except (RuntimeError, ValueError) as error:
            raise VideoError(self.path, f"cannot be opened ({_first_line(error)})") from None
        self._length = self._check_whole(len(self._decoder))

    def __len__(self) -> int:
        return self._length

    def _decode(self, needed: np.ndarray) -> np.ndarray:
        try:
            return self._decoder.get_frames_at(indices=needed.tolist()).data.numpy()
        except (RuntimeError, IndexError):
            raise self._damaged(int(needed[-1])) from None

    def close(self) -> None:
        self._decoder = None


def decoder_class() -> Any:
    """torchcodec's ``VideoDecoder``; ``ValueError``, with the command that helps, where it is not there or does not
    load."""
    try:
        from torchcodec.decoders import VideoDecoder
    except ImportError:
        raise ValueError(
            "decoder 'torchcodec' is not installed. Install it with `pip install torchcodec` (it also needs FFmpeg's "
            "libraries, e.g. `apt install ffmpeg`), or use decoder 'decord' or 'pyav'."
        ) from None
    except RuntimeError as error:  # installed, but FFmpeg's libraries are not
        raise ValueError(
            f"decoder 'torchcodec' is installed but does not load ({_first_line(error)}). Install FFmpeg's libraries, "
            "e.g. `apt install ffmpeg`, and the torchcodec of your torch, `pip install --upgrade torchcodec`; "
            "or use decoder 'decord' or 'pyav'."
        ) from None
    return VideoDecoder


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
