"""What a file's header says, read before any decoder touches the file.

FFmpeg reports a wrong file at once and in words here, where others answer with a C++ assertion. A header is read
once per file and process, not once per clip; that of an AVI file, UCF-101's format, by hand (0.03 ms; FFmpeg takes 0.5
ms, a seventh of a small clip's whole decoding).
"""

import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from specvid.datasets.decode.opening import Container, identity
from specvid.errors import VideoError

LARGEST = 2**26  # px of a picture: 8192 x 8192; what is larger is a damaged header, and would take gigabytes
_WITH_DURATION = ("asf", "matroska")  # in the header; FFmpeg works those of others out from the last time stamps
_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)\0*")  # of one stream, as programs write it into Matroska
_LISTS = ("concat", "hls", "dash", "imf", "sdp")  # what they name may change, and may be any file
_NO_VIDEO = ("tty", "image2")  # FFmpeg would draw a text, and show a picture for one frame
_MPEG4 = (b"XVID", b"DIVX", b"DX50", b"FMP4", b"MP4V")  # codes of MPEG-4 part 2 in AVI files


@dataclass(frozen=True)
class Probe:
    """A file and its video stream, as the header announces them.

    Args:
        container: FFmpeg's name of the container, the first of several.
        codec: FFmpeg's name of the codec.
        frames: how many the header announces; 0 = unknown.
        fps: frames per second; 0 = unknown.
        height: of the stored pictures, px.
        width: of the stored pictures, px.
        cut: what shows that bytes are missing at the end of the file; "" where nothing does.
        ends: when the last frame disappears, s, by the time stamps of the file; 0 = not announced.
    """

    container: str
    codec: str
    frames: int
    fps: float
    height: int
    width: int
    cut: str = ""
    ends: float = 0.0


def probe(path: str) -> Probe:
    """The header of a video file.

    Args:
        path: of the file.

    Returns:
        What it announces.

    Raises:
        VideoError: the file is missing, a folder, empty, not a video or without pictures.
    """
    return _read_header(*identity(path))


@lru_cache(maxsize=65536)
def _read_header(path: str, size: int, mtime_ns: int) -> Probe:
    header = _avi_header(path, size) or _ffmpeg_header(path, size)
    if header.height <= 0 or header.width <= 0:
        raise VideoError(path, "announces a video stream without a picture size")
    if header.height * header.width > LARGEST:
        raise VideoError(path, f"announces pictures of {header.width} x {header.height} px, more than {LARGEST:,}")
    return header


def _avi_header(path: str, size: int) -> Probe | None:
    """The same metadata from the fixed fields of an AVI header (RIFF ``strh`` and ``strf`` chunks); None where anything
    looks unusual."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise VideoError(path, f"cannot be read ({error.strerror})") from None
    stream = head.find(b"vids", 12) - 8  # strh, chunk size, then the kind of stream
    picture = head.find(b"strf", stream)
    if (
        head[:4] != b"RIFF"
        or head[8:12] != b"AVI "
        or head[stream : stream + 4] != b"strh"
        or head.count(b"vids") > 1
        or not 0 < picture < len(head) - 28
    ):
        return None
    scale, rate, _, frames = struct.unpack_from("<4I", head, stream + 28)
    width, height = struct.unpack_from("<ii", head, picture + 12)
    codec = head[picture + 24 : picture + 28].upper()
    if codec not in _MPEG4 or not (scale and rate and frames and width > 0 and 0 < width * abs(height) <= LARGEST):
        return None
    return Probe("avi", "mpeg4", frames, rate / scale, abs(height), width, _cut_riff(head, size))


def _cut_riff(head: bytes, size: int) -> str:
    (announced,) = struct.unpack_from("<I", head, 4)
    if announced + 8 <= size or announced == 2**32 - 1:  # written to a pipe: the length was never filled in
        return ""
    return f"its header announces {announced + 8:,} bytes, the file has {size:,}"


def _ffmpeg_header(path: str, size: int) -> Probe:
    try:
        with Container(path) as opened:
            container, stream = opened.container, opened.stream
            if container.format.name in _LISTS:
                raise VideoError(
                    path, f"is a list of other files ({container.format.long_name}), not a video: name these instead"
                )
            if container.format.name in _NO_VIDEO or container.format.name.endswith("_pipe"):
                raise VideoError(path, f"is not a video (FFmpeg takes it for {container.format.long_name})")
            context = stream.codec_context
            rate = stream.average_rate or stream.guessed_rate
            return Probe(
                container=container.format.name.split(",")[0],
                codec=context.name,
                frames=0 if context.name == "gif" else max(0, stream.frames),  # of a GIF, FFmpeg counts them
                fps=float(rate) if rate else 0.0,
                height=context.height,
                width=context.width,
                cut=_cut(path, container.format.name, stream, size),
                ends=_announced_end(container, stream),
            )
    except VideoError:
        raise
    except PermissionError:
        raise VideoError(path, "cannot be read (permission denied)") from None
    except Exception as error:  # FFmpeg's errors have many classes; each means that this file cannot be used
        raise VideoError(path, f"is not a readable video ({getattr(error, 'strerror', None) or error})") from None


def _cut(path: str, container: str, stream: Any, size: int) -> str:
    """What shows that the end of the file is missing."""
    if container == "avi":
        with open(path, "rb") as file:
            return _cut_riff(file.read(12), size)
    entries = stream.index_entries
    end = max((entry.pos + entry.size for entry in (entries[0], entries[-1])), default=0) if len(entries) else 0
    return f"its index reaches to byte {end:,}, the file ends at byte {size:,}" if end > size else ""


def _announced_end(container: Any, stream: Any) -> float:
    """When the last frame disappears, by fields written for it; not what FFmpeg works out from the packets."""
    name = container.format.name.split(",")[0]
    if name not in _WITH_DURATION:
        return 0.0
    tag = _DURATION.fullmatch(stream.metadata.get("DURATION", ""))
    if tag:
        hours, minutes, seconds = tag.groups()
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return max(0, container.duration or 0) / 1e6
