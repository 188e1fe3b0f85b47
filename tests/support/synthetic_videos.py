"""Small videos made for tests: each frame carries its number as twelve black or white bars, which any codec keeps."""

import contextlib
import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from specvid.datasets.synthetic.encode import ordinary_priority

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
    path: Path,
    frames: Iterable[np.ndarray],
    codec: str = "mpeg4",
    options: dict[str, str] | None = None,
    *,
    pixels: str = "yuv420p",
    times: Sequence[float] | None = None,
    pixel_aspect: Fraction | None = None,
    container: dict[str, str] | None = None,
    form: str | None = None,
) -> Path:
    """Encode ``frames``, uint8 (H, W, 3); skips the test where FFmpeg was built without the codec.

    ``times``: of each frame, s; ``container``: options of the container; ``form``: its name, if not by suffix.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(ordinary_priority())
        file = stack.enter_context(av.open(str(path), "w", options=container or {}, format=form))
        try:
            stream = file.add_stream(codec, rate=25, options=options or {})
        except (ValueError, av.FFmpegError):
            pytest.skip(f"this FFmpeg has no encoder {codec}")
        stream.pix_fmt, stream.bit_rate = pixels, 800_000
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, frame in enumerate(frames):
            if number == 0:
                stream.height, stream.width = frame.shape[:2]
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            if times:
                picture.pts, picture.time_base = round(1000 * times[number]), Fraction(1, 1000)
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
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
    """Turn frames ``numbers`` of an MPEG-4 AVI into pictures that are "not coded": packets without a frame."""
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


def write_streams(path: Path, sizes: Sequence[int], *, cover: bool = False, sound: bool = False) -> Path:
    """Several video streams side by side, each of 20 numbered frames magnified ``sizes`` times: the first counts from
    0, the others from 100. With ``cover`` a cover picture comes first, with ``sound`` silence last."""
    with av.open(str(path), "w") as file:
        if cover:
            picture = file.add_stream("mjpeg", rate=25)
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic.value
        streams = [file.add_stream("libx264", rate=25) for _ in sizes]
        voice = file.add_stream("aac", rate=8000, layout="mono") if sound else None
        for stream, size in zip(streams, sizes, strict=True):
            stream.width, stream.height, stream.pix_fmt = WIDTH * size, HEIGHT * size, "yuv420p"
        if cover:
            grey = np.full((64, 64, 3), 200, np.uint8)
            file.mux(picture.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            file.mux(picture.encode())
        for number in range(20 if sizes else 0):
            for place, (stream, size) in enumerate(zip(streams, sizes, strict=True)):
                pixels = numbered_frame(number + 100 * (place > 0)).repeat(size, 0).repeat(size, 1)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        for stream in streams:
            file.mux(stream.encode())
        if voice is not None:
            for number in range(8):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                silence.rate, silence.pts = 8000, 1024 * number
                file.mux(voice.encode(silence))
            file.mux(voice.encode())
    return path


def cut_copied(source: Path, path: Path, frames: int) -> Path:
    """A copy of a video, its first ``frames`` frames cut off without decoding: an edit list hides them."""
    with av.open(str(source)) as full, av.open(str(path), "w") as part:
        origin = full.streams.video[0]
        stream = part.add_stream_from_template(origin)
        shift = round(frames / (25 * origin.time_base))
        for packet in full.demux(origin):
            if packet.size:
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                part.mux(packet)
    return path


def set_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write a display matrix into the track header of an MP4 file (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 4 + 40  # version 0
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    data[at : at + len(matrix)] = matrix
    path.write_bytes(data)
    return path
