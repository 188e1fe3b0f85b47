"""Writes video files with PyAV: the synthetic data sets, and the files that tests need (long, audio only, damaged)."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

# The quality is asked for in FFmpeg's units: 118 lambdas are one step of the quantiser.
_LAMBDA = 118
_EXACT = {"fflags": "+bitexact"}  # no version strings in the file


@contextmanager
def ordinary_priority() -> Iterator[None]:
    """Take back what SVT-AV1 gives to a thread of root's that encodes in the block: real-time priority, with which that
    thread, and every thread and process it starts from then on, would keep all others from the cores."""
    known = hasattr(os, "sched_setscheduler")  # not on macOS and Windows
    before = (os.sched_getscheduler(0), os.sched_getparam(0)) if known else None
    try:
        yield
    finally:
        if before and os.sched_getscheduler(0) != before[0]:
            os.sched_setscheduler(0, *before)


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    fps: float = 25,
    *,
    codec: str = "mpeg4",
    pix_fmt: str = "yuv420p",
    quantiser: int = 1,
    gop: int = 12,
) -> Path:
    """Encode frames one by one, so of any length. The container follows from the suffix (``.avi`` as in UCF-101,
    ``.mp4`` ...).

    With ``mpeg4``, the codec of UCF-101's files, and ``quantiser`` 1 smooth pictures come back within a few levels of
    255. The same frames give the same bytes with the same FFmpeg libraries.

    Args:
        path: The file.
        frames: Each uint8 (H, W, 3) RGB, all of one size with even sides.
        fps: Frames per second.
        codec: An FFmpeg encoder that takes ``pix_fmt``.
        pix_fmt: FFmpeg's pixel format.
        quantiser: From 1, the finest, to 31.
        gop: Frames from one key frame to the next.

    Returns:
        ``path``.

    Raises:
        ValueError: There are no frames, or one has another shape or type; no file is left then.
    """
    import av

    path = Path(path)
    quality = {"qmin": str(quantiser), "global_quality": str(quantiser * _LAMBDA), "flags": "+qscale+bitexact"}
    try:
        with ordinary_priority(), av.open(str(path), "w", container_options=_EXACT) as container:
            stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=quality)
            stream.pix_fmt, stream.gop_size, stream.thread_count = pix_fmt, gop, 1
            for number, frame in enumerate(_checked(path, frames)):
                if not number:
                    stream.height, stream.width = frame.shape[:2]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    except ValueError:
        path.unlink(missing_ok=True)
        raise
    return path


def _checked(path: Path, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """``frames`` one by one, each in one block of memory; ``ValueError`` at the first that does not fit."""
    shape: tuple[int, ...] = ()
    for number, frame in enumerate(frames):
        shape = shape or frame.shape
        possible = len(shape) == 3 and shape[2] == 3 and not shape[0] % 2 and not shape[1] % 2
        if not possible or frame.dtype != np.uint8 or frame.shape != shape:
            raise ValueError(
                f"{path}: frame {number} is {frame.dtype} {frame.shape}; "
                "all frames must be uint8 (H, W, 3) of one size with even H and W"
            )
        yield np.ascontiguousarray(frame)
    if not shape:
        raise ValueError(f"{path}: there are no frames to write; a video has at least one")


def write_audio_only(path: str | os.PathLike[str], seconds: float = 1.0, *, rate: int = 16_000) -> Path:
    """Write a file with one sound stream and no pictures: a video decoder must refuse it.

    Args:
        path: The file.
        seconds: Length of the sound, a 440 Hz tone as PCM.
        rate: Samples per second.

    Returns:
        ``path``.
    """
    import av

    path = Path(path)
    with av.open(str(path), "w", container_options=_EXACT) as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        wave = np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
        sound = av.AudioFrame.from_ndarray((8000 * wave).astype(np.int16)[None], format="s16", layout="mono")
        sound.sample_rate = rate
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    return path


def damage(path: str | os.PathLike[str], *, start: float = 0.5, share: float = 0.1, seed: int = 0) -> Path:
    """Overwrite a part of a file with random bytes.

    Args:
        path: The file.
        start: Where the part begins, as a fraction of the file's length.
        share: Its length, likewise.
        seed: Of the random bytes.

    Returns:
        ``path``.
    """
    path = Path(path)
    data = bytearray(path.read_bytes())
    first, count = int(start * len(data)), max(1, int(share * len(data)))
    noise = np.random.default_rng(seed).bytes(count)
    data[first : first + count] = noise[: len(data) - first]
    path.write_bytes(data)
    return path
