"""Damaged and unusual copies of videos, for the sweep over them: what disks, networks and programs make of files."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from specvid.datasets.synthetic.encode import ordinary_priority

FRAMES, HEIGHT, WIDTH = 30, 64, 96
CUTS = 20
"""Places at which each file is cut off."""
SPOILS = 6
"""Copies of each file with bytes flipped, and with blocks zeroed."""

CONTAINERS = (
    "3gp",
    "asf",
    "avi",
    "flv",
    "gif",
    "h264",
    "ivf",
    "m2ts",
    "m2v",
    "m4v",
    "mjpeg",
    "mkv",
    "mov",
    "mp4",
    "mpg",
    "mts",
    "nut",
    "ogv",
    "ts",
    "vob",
    "webm",
    "wmv",
    "y4m",
)
CODECS = {
    "cinepak": "rgb24",
    "dnxhd": "yuv422p",
    "dvvideo": "yuv420p",
    "ffv1": "yuv420p",
    "flv": "yuv420p",
    "gif": "rgb8",
    "h263p": "yuv420p",
    "huffyuv": "yuv422p",
    "libsvtav1": "yuv420p",
    "libtheora": "yuv420p",
    "libvpx": "yuv420p",
    "libvpx-vp9": "yuv420p",
    "libx264": "yuv420p",
    "libx265": "yuv420p",
    "mjpeg": "yuvj420p",
    "mpeg1video": "yuv420p",
    "mpeg2video": "yuv420p",
    "mpeg4": "yuv420p",
    "msmpeg4": "yuv420p",
    "png": "rgb24",
    "prores_ks": "yuv422p10le",
    "rawvideo": "yuv420p",
    "snow": "yuv420p",
    "utvideo": "yuv420p",
    "wmv1": "yuv420p",
    "wmv2": "yuv420p",
}
"""Encoder -> how it stores pixels."""

_HUGE = (0xFFFFFFFF, 0x7FFFFFFF)
# Tag -> places of 32-bit fields after its first letter, as they stand in AVI (RIFF) and in MP4 (ISO/IEC 14496-12).
_AVI_FIELDS = {
    b"RIFF": (4,),
    b"avih": (8, 12, 24, 40, 44),
    b"strh": (28, 32, 40, 44),
    b"strf": (8, 12, 16),
    b"idx1": (4, 16, 20),
}
_MP4_FIELDS = {
    b"moov": (-4,),
    b"mvhd": (16, 20),
    b"tkhd": (24, 80, 84),
    b"mdhd": (16, 20),
    b"stts": (8, 12, 16),
    b"ctts": (8, 12),
    b"stss": (8, 12),
    b"stsc": (8, 16),
    b"stsz": (8, 12, 16),
    b"stco": (8, 12),
    b"avc1": (28, 32),
    b"avcC": (8,),
}


@dataclass(frozen=True)
class Variant:
    """A file of the sweep.

    Args:
        path: of the file.
        kind: what was done to it.
        frames: of the video that it was made from.
    """

    path: Path
    kind: str
    frames: int


def make_variants(clips: list[Path], out: Path, *, seed: int = 0) -> list[Variant]:
    """Write all variants of ``clips`` and of synthetic videos.

    Args:
        clips: real videos.
        out: folder to write into.
        seed: of the damage.

    Returns:
        Every file, in a fixed order.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = list(_containers_and_codecs(out))
    synthetic = [_encode(out / f"source_{codec}.{suffix}", codec, 100) for suffix, codec in _SOURCES]
    rng = np.random.default_rng(seed)
    for path in [*clips, *(path for path in synthetic if path)]:
        written += _damage(path, _count(path), out, rng)
    return written


_SOURCES = (("mp4", "libx264"), ("mkv", "libx264"), ("ts", "libx264"), ("webm", "libvpx-vp9"), ("mov", "mpeg4"))


def _damage(path: Path, frames: int, out: Path, rng: np.random.Generator) -> Iterator[Variant]:
    data = path.read_bytes()

    def write(kind: str, number: int, content: bytes) -> Variant:
        file = out / f"{kind.replace(' ', '_')}_{path.stem}_{number}{path.suffix}"
        file.write_bytes(content)
        return Variant(file, kind, frames)

    for number in range(CUTS):
        yield write("cut off", number, data[: max(1, len(data) * (number + 1) // (CUTS + 1))])
    for number in range(SPOILS):
        spoilt = bytearray(data)
        for place in rng.integers(0, len(data), 4**number % 1000 + 1):
            spoilt[place] ^= 1 << int(rng.integers(8))
        yield write("bytes flipped", number, bytes(spoilt))
    for number in range(SPOILS):
        spoilt = bytearray(data)
        size = len(data) // (5, 20, 50, 100, 200, 1000)[number % 6] + 1
        place = int(rng.integers(0, len(data) - size + 1))
        spoilt[place : place + size] = bytes(size)
        yield write("block zeroed", number, bytes(spoilt))
    fields, order = (_AVI_FIELDS, "<I") if data[:4] == b"RIFF" else (_MP4_FIELDS, ">I")
    number = 0
    for tag, places in fields.items():
        start = data.find(tag)
        for place in places if start >= 0 else ():
            spoilt = bytearray(data)
            struct.pack_into(order, spoilt, start + place, _HUGE[number % 2])
            yield write("header field huge", number, bytes(spoilt))
            number += 1


def _containers_and_codecs(out: Path) -> Iterator[Variant]:
    for container in CONTAINERS:
        for codec in CODECS:
            path = _encode(out / f"intact_{codec}.{container}", codec, FRAMES)
            if path and _count(path) == FRAMES:  # FFmpeg writes some that it does not read
                yield Variant(path, "container x codec", FRAMES)


def _encode(path: Path, codec: str, frames: int) -> Path | None:
    """A video of a white square that wanders; None where FFmpeg does not write this codec into this container."""
    import av

    try:
        with ordinary_priority(), av.open(str(path), "w") as container:
            stream: Any = container.add_stream(codec, rate=25, options={"g": "12"})
            stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, CODECS[codec], 800_000
            for number in range(frames):
                picture = np.full((HEIGHT, WIDTH, 3), (20, 60, 2 * number), np.uint8)
                x, y = 7 * number % (WIDTH - 16), 5 * number % (HEIGHT - 16)
                picture[y : y + 16, x : x + 16] = 255
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    except (OSError, ValueError, av.FFmpegError):
        path.unlink(missing_ok=True)
        return None
    return path


def _count(path: Path) -> int:
    import av

    try:
        with av.open(str(path)) as container:
            return sum(1 for _ in container.decode(video=0))
    except (IndexError, av.FFmpegError):
        return 0
