"""How many frames a file has, when they are shown, and at which key frames decoding can begin.

Decoding cannot begin at a key frame that B-frames refer across, nor where the container has no presentation times and
pictures are reordered (Xvid AVI files with B-frames, many of UCF-101's): frames would come out with wrong numbers, or
not at all. Shown with videos that carry their frame number as a picture (``tests/datasets/decode``).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from specvid.datasets.decode.avi import find_chunks, first_number
from specvid.datasets.decode.missing import NEVER_DROPPED
from specvid.datasets.decode.mpeg4 import read_mpeg4
from specvid.datasets.decode.opening import Container, identity, plain_name
from specvid.datasets.decode.picture import Shape, shape_of
from specvid.datasets.decode.probe import Probe, probe
from specvid.datasets.decode.structure.find import find_structure
from specvid.datasets.decode.survey import Survey, survey
from specvid.datasets.decode.units import Pictures, find_pictures

# In these a jump lands where it should; not in MPEG-TS and -PS, which are searched by decoding times, WMV and others.
_EXACT_CONTAINERS = frozenset({"avi", "mov", "matroska"})
# In these torchcodec makes the same RGB of a picture as PyAV, bit for bit; not with 10 bits, for example.
_EXACT_PIXELS = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"})
_BY_HAND = 256 * 2**20  # bytes; larger AVI files are not read into memory


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The frames of a video.

    Args:
        header: what the file announces.
        length: number of frames.
        torchcodec: whether torchcodec gives the same frames.
        fps: frames per second, the mean where the rate varies; 0 where it is unknown.
        shape: of the pictures.
        times: (length,) float64, s from the first frame, where frames are not evenly spaced; else None.
        packet_times: (length,) int64, rising: time stamps of the packets, where the frames were counted by these.
        survey: of the whole video, where the frames could only be counted by decoding it.
        keys: (K,) int64, rising: numbers of the frames that decoding can begin with; None where it must at the first.
    """

    header: Probe
    length: int
    torchcodec: bool
    fps: float
    shape: Shape
    times: np.ndarray | None = None
    packet_times: np.ndarray | None = None
    survey: Survey | None = None
    keys: np.ndarray | None = None

    def stamp(self, key: int) -> int:
        """The time stamp of a key frame.

        Args:
            key: its number, one of ``keys``.

        Returns:
            The stamp; in an AVI file that was read by hand its number, for FFmpeg counts instead of stamping there.
        """
        return key if self.packet_times is None else int(self.packet_times[key])

    def warning(self) -> str:
        """Warnings about the header and the frames; empty where it agrees with the file."""
        if self.survey is None:
            return ""
        warnings = []
        structure = self.survey.structure
        rest = "; how many frames are missing at its end stands nowhere" if self.survey.open_end else ""
        if structure.cut:
            warnings.append(f"is cut off ({structure.cut}{rest})")
        if structure.breaks:
            inside = replace(structure, cut="").damage
            warnings.append(f"is damaged inside ({inside}{'' if structure.cut else rest})")
        if self.header.frames > self.length:
            warnings.append(f"its header announces {self.header.frames} frames, {self.length} decode")
        if self.survey.resized:
            height, width = self.shape.shown
            warnings.append(
                f"the size of {self.survey.resized} of its frames differs: brought to {width} x {height} px"
            )
        return "; ".join(warnings)


def frame_index(path: str) -> FrameIndex:
    """The frames of a video file; the result is cached per path, size and time of change.

    Args:
        path: of the video.

    Returns:
        What frames it has.

    Raises:
        VideoError: the file cannot be used.
    """
    return _frame_index(*identity(path))


@lru_cache(maxsize=65536)
def _frame_index(path: str, size: int, mtime_ns: int) -> FrameIndex:
    header = probe(path)
    if header.container == "avi" and header.codec == "mpeg4" and not header.cut and size <= _BY_HAND:
        index = _by_hand(path, header)
    else:
        index = None if find_structure(path).damage else _by_packets(path, header)
    return index or _by_decoding(path, header)


def _by_hand(path: str, header: Probe) -> FrameIndex | None:
    """Of an AVI file with MPEG-4 pictures, UCF-101's kind, without FFmpeg; None where anything looks unusual."""
    with open(path, "rb") as file:
        data = file.read()
    chunks = find_chunks(data)
    found = read_mpeg4(data) if len(chunks) == header.frames else None
    if found is None or found.frames(chunks) != len(chunks) or not found.square:
        return None
    shape = Shape(header.height, header.width)
    if found.has_b or first_number(data):  # FFmpeg counts from there
        return FrameIndex(header, len(chunks), False, header.fps, shape)
    keys = np.flatnonzero(found.intra)
    return FrameIndex(header, len(chunks), _has_plain_name(path), header.fps, shape, keys=keys)


def _by_packets(path: str, header: Probe) -> FrameIndex | None:
    """By FFmpeg's packets, where each holds one picture that is shown; None where one may not."""
    try:
        with Container(path) as opened:
            stream, context = opened.stream, opened.stream.codec_context
            context.thread_count = 1
            packets = _Packets(opened)
            pictures = find_pictures(header.codec, packets, context.extradata)
            if pictures is Pictures.UNSURE:
                return None
            packets.read_rest()
            stamps = np.array(packets.stamps)
            order = np.sort(stamps)
            if (
                not len(stamps)
                or stamps.min() < 0
                or (np.diff(order) == 0).any()
                or not packets.keys[0]
                or packets.damaged
                or (header.frames and header.frames != len(stamps))
            ):
                return None
            frame, shape = packets.frame, packets.shape
            if frame is None or frame.pts != order[0] or frame.interlaced_frame:
                return None
            can_begin = (
                header.container in _EXACT_CONTAINERS
                and pictures is Pictures.ONE_EACH
                and (not context.has_b_frames or header.container != "avi")  # it stores no presentation times
                and _key_frames_part_time(np.array(packets.keys), stamps)
            )
            is_exact = (
                can_begin
                and len(opened.container.streams.video) == 1
                and frame.format.name in _EXACT_PIXELS
                and shape == Shape(header.height, header.width)
            )
            keys = np.searchsorted(order, np.sort(stamps[packets.keys]))
            times = (order - order[0]) * float(stream.time_base)
            steps = np.diff(order)
            if header.codec in NEVER_DROPPED and (steps > 1.5 * np.median(steps)).any():
                return None
    except Exception:  # whatever it is, decoding shows it
        return None
    fps = _rate(header.fps, times)
    return FrameIndex(
        header,
        len(stamps),
        is_exact and _has_plain_name(path),
        fps,
        shape,
        _uneven(times, fps),
        packet_times=order,
        keys=keys if can_begin else None,
    )


class _Packets:
    """The packets of a video, read once; none is held, since those of a long film would fill the memory.

    Attributes:
        stamps: time of each, -1 where it has none.
        keys: whether each begins with a key frame.
        damaged: FFmpeg marks one of them.
        frame: the first frame that they give.
        shape: of all frames.
    """

    def __init__(self, opened: Container) -> None:
        self._stream = opened.stream
        self._source = opened.container.demux(opened.stream)
        self.stamps: list[int] = []
        self.keys: list[bool] = []
        self.damaged = False
        self.frame: Any = None
        self.shape = Shape(0, 0)

    def __iter__(self) -> Iterator[memoryview]:
        for packet in self._source:
            if packet.size:
                self.stamps.append(-1 if packet.pts is None else packet.pts)
                self.keys.append(bool(packet.is_keyframe))
                self.damaged |= bool(packet.is_discard or packet.is_corrupt)
                yield memoryview(packet)
                self._look(packet)

    def read_rest(self) -> None:
        """Read what no check has read, and the first frame where it comes after the last packet."""
        for _ in self:
            pass
        self._look(None)

    def _look(self, packet: Any) -> None:
        if self.frame is None:
            for frame in self._stream.decode(packet):
                self.frame, self.shape = frame, shape_of(frame, self._stream.sample_aspect_ratio)
                return


def _key_frames_part_time(keys: np.ndarray, stamps: np.ndarray) -> bool:
    """Whether all that comes before a key frame in the file comes before it in time too."""
    places = np.argsort(np.argsort(stamps))
    return bool((places[keys] == np.flatnonzero(keys)).all())


def _by_decoding(path: str, header: Probe) -> FrameIndex:
    found = survey(path)
    times = found.times
    fps = header.fps if times is None else _rate(header.fps, times)
    uneven = None if times is None else _uneven(times, fps)
    return FrameIndex(header, found.length, False, fps, found.shape, uneven, survey=found)


def _rate(announced: float, times: np.ndarray) -> float:
    """The announced rate, unless there is none, or none that a film has."""
    if 0.01 <= announced <= 1000 or len(times) < 2 or not times[-1] > 0:
        return announced
    return (len(times) - 1) / float(times[-1])


def _uneven(times: np.ndarray, fps: float) -> np.ndarray | None:
    """``times``, unless each lies within half a frame of where an even rate would put it."""
    if fps > 0 and np.abs(times - np.arange(len(times)) / fps).max(initial=0.0) <= 0.5 / fps:
        return None
    return times


def _has_plain_name(path: str) -> bool:
    return plain_name(path) is not None
