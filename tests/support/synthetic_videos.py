"""Small videos made for tests: each frame carries its number as twelve black or white bars, which any codec keeps."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest

HEIGHT, WIDTH, BITS = 64, 96, 12

# name -> (codec, options): each with several key frames. B-frames and open groups are what decoders get wrong.
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "plain.avi": ("mpeg4", {"g": "12"}),
    "b_frames.avi": ("mpeg4", {"g": "12", "bf": "2"}),
    "b_frames.mp4": ("mpeg4", {"g": "12", "bf": "2"}),
    "closed.mp4": ("libx264", {"g": "12", "bf": "3"}),
    "open.mp4": ("libx264", {"g": "12", "bf": "3", "x264-params": "open-gop=1"}),
    "open.mkv": ("libx264", {"g": "12", "bf": "3", "x264-params": "open-gop=1"}),
    "h264.avi": ("libx264", {"g": "12", "bf": "3"}),
    "stream.ts": ("libx264", {"g": "12", "bf": "3"}),
    "vp9.webm": ("libvpx-vp9", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    "windows.wmv": ("wmv2", {"g": "12"}),
}


def numbered_frame(number: int) -> np.ndarray:
    """uint8 (64, 96, 3) with ``number`` in binary: bar b is white where bit b is 1."""
    frame = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    for bit in range(BITS):
        frame[8:56, bit * 8 : (bit + 1) * 8] = 255 * ((number >> bit) & 1)
    return frame


def read_numbers(frames: np.ndarray) -> list[int]:
    """The numbers in frames (T, 64, 96, 3)."""
    bars = frames[:, HEIGHT // 2, 4::8].mean(-1) > 128
    return [sum(int(bar) << bit for bit, bar in enumerate(row)) for row in bars]


def write_video(
    path: Path, frames: Iterable[np.ndarray], codec: str = "mpeg4", options: dict[str, str] | None = None
) -> Path:
    """Encode ``frames``, uint8 (H, W, 3); skips the test where FFmpeg was built without the codec."""
    with contextlib.ExitStack() as stack:
        container = stack.enter_context(av.open(str(path), "w"))
        try:
            stream = container.add_stream(codec, rate=25, options=options or {})
        except (ValueError, av.FFmpegError):
            pytest.skip(f"this FFmpeg has no encoder {codec}")
        stream.pix_fmt, stream.bit_rate = "yuv420p", 800_000
        for number, frame in enumerate(frames):
            if number == 0:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return path


def write_numbered(folder: Path, kind: str = "plain.avi", count: int = 100) -> Path:
    """A video of frames 0 to ``count`` - 1, of one of the `KINDS`."""
    codec, options = KINDS[kind]
    return write_video(folder / kind, map(numbered_frame, range(count)), codec, options)


def write_sound(path: Path) -> Path:
    """A file with sound and no pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), dtype=np.int16), format="s16", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    return path


def lose_frames(path: Path, numbers: Sequence[int]) -> Path:
    """Turn frames ``numbers`` of an MPEG-4 AVI into pictures that are "not coded": the packets stay, and give no
    frame."""
    not_coded = b"\x00\x00\x01\xb6\x50\x40\x7f"  # P-picture, time 0, vop_coded = 0 (ISO/IEC 14496-2, 6.2.5)
    return _change_packets(path, numbers, lambda packet: not_coded.ljust(len(packet), b"\x7f"))


def blank_frames(path: Path, numbers: Sequence[int]) -> Path:
    """Fill the packets of frames ``numbers`` of an AVI with zeros: decoding them is an error."""
    return _change_packets(path, numbers, lambda packet: bytes(len(packet)))


def spoil_frames(path: Path, numbers: Sequence[int]) -> Path:
    """Invert one byte in the middle of the packets of frames ``numbers`` of an AVI: part of the picture is wrong."""

    def spoil(packet: bytes) -> bytes:
        half = len(packet) // 2
        return packet[:half] + bytes([packet[half] ^ 0xFF]) + packet[half + 1 :]

    return _change_packets(path, numbers, spoil)


def _change_packets(path: Path, numbers: Sequence[int], change: Callable[[bytes], bytes]) -> Path:
    data = bytearray(path.read_bytes())
    at = data.find(b"movi")
    for number in range(max(numbers) + 1):
        at = data.find(b"00dc", at)
        start, size = at + 8, int.from_bytes(data[at + 4 : at + 8], "little")
        if number in numbers:
            data[start : start + size] = change(bytes(data[start : start + size]))
        at = start + size
    path.write_bytes(data)
    return path
