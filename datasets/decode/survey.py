"""Decoding a video completely, once: how many frames it has, when each is shown, and which of them are lost.

This is the reference. What FFmpeg decodes in presentation order is the video. A packet that it cannot decode is a frame
that is lost, at the place that its time stamp gives it; so the numbers of the others stay. Packets before the first
frame that decodes do not count, for a player begins with that frame; nor does a single one after the last.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from specvid.datasets.decode.decoding import REORDERED, Seen, decode_all
from specvid.datasets.decode.missing import BELIEVED, MissingFrames
from specvid.datasets.decode.opening import identity
from specvid.datasets.decode.picture import Shape
from specvid.datasets.decode.probe import Probe, probe
from specvid.datasets.decode.structure.find import find_structure
from specvid.datasets.decode.structure.walk import Structure
from specvid.errors import VideoError


@dataclass(frozen=True, eq=False)
class Survey:
    """A video that was decoded completely.

    Args:
        length: frames, the lost ones included.
        places: (D,) int64, rising: the number of each frame that decodes, in the order of decoding.
        times: (length,) float64, s from the first frame; None without time stamps.
        mended: frames in which FFmpeg found errors, and guessed part of the picture.
        resized: frames of another size than the first one's.
        reason: the first error, "" where there was none.
        shape: of the pictures.
        structure: of the file.
        open_end: frames are missing at the end, and nothing says how many.
    """

    length: int
    places: np.ndarray
    times: np.ndarray | None
    mended: int
    resized: int
    reason: str
    shape: Shape
    structure: Structure
    open_end: bool = False

    @property
    def lost(self) -> np.ndarray:
        """Numbers of the frames that do not decode, rising."""
        return np.setdiff1d(np.arange(self.length), self.places)

    def nearest(self, frames: np.ndarray) -> np.ndarray:
        """The nearest frames that decode.

        Args:
            frames: numbers of frames.

        Returns:
            For each the nearest one that decodes, itself where it does; the earlier of two.
        """
        after = np.clip(np.searchsorted(self.places, frames), 1, max(1, len(self.places) - 1))
        before = after - 1
        after = np.minimum(after, len(self.places) - 1)
        is_after = self.places[after] - frames < frames - self.places[before]
        return self.places[np.where(is_after, after, before)]


def survey(path: str, packet_times: np.ndarray | None = None) -> Survey:
    """Decode ``path`` completely; the result is cached.

    Args:
        path: of the video.
        packet_times: (length,) time stamps of its packets, rising, where each is known to hold one frame: then these
            are the frames, whether or not they decode.

    Raises:
        VideoError: not a single frame decodes.
    """
    given = None if packet_times is None else packet_times.tobytes()
    return _survey(*identity(path), given)


@lru_cache(maxsize=65536)
def _survey(path: str, size: int, mtime_ns: int, packet_times: bytes | None) -> Survey:
    header = probe(path)
    seen = decode_all(path)
    if seen.shape is None:
        raise VideoError(path, f"holds no frame that decodes ({header.codec}{seen.reason and ': ' + seen.reason})")
    if packet_times is not None:
        return _by_packets(seen, np.frombuffer(packet_times, np.int64), seen.shape)
    return _by_frames(seen, header, find_structure(path), seen.shape)


def _by_packets(seen: Seen, stamps: np.ndarray, shape: Shape) -> Survey:
    """The frames stand where the packets of their time stamps do."""
    length = len(stamps)
    own = [-1 if stamp is None else stamp for stamp in seen.stamps]
    places = np.searchsorted(stamps, own)
    inside = np.minimum(places, length - 1)
    if not ((stamps[inside] == own) & (np.diff(places, prepend=-1) > 0)).all():
        places = np.arange(min(length, len(own)))  # stamps that lie: in the order of decoding
    return Survey(
        length,
        places.astype(np.int64),
        _from_first(stamps * seen.seconds),
        seen.mended,
        seen.resized,
        seen.reason,
        shape,
        Structure(),
    )


def _by_frames(seen: Seen, header: Probe, structure: Structure, shape: Shape) -> Survey:
    """Frames and lost ones in the order of their time stamps, or of decoding where these do not show it."""
    count = len(seen.stamps)
    seams = _with_seams(structure, seen)
    missing = MissingFrames(seams, header, seen.packets, count=count, seconds=seen.seconds)
    inside = missing.inside()
    structure = seams if inside else structure
    lost = sorted([*seen.lost, *inside], key=lambda one: one[0])
    lost = [(after, stamp) for after, stamp in lost if after > 0]
    if sum(after >= count for after, _ in lost) == 1 and not missing.at_the_end:
        lost = [(after, stamp) for after, stamp in lost if after < count]
    times = None
    frame_stamps = np.array([np.nan if stamp is None else stamp for stamp in seen.stamps], float)
    lost_stamps = np.array([np.nan if stamp is None else stamp for _, stamp in lost], float)
    lost_stamps[_lie(lost_stamps, np.array([after for after, _ in lost], int), frame_stamps)] = np.nan
    stamps = np.concatenate([frame_stamps, lost_stamps])
    if np.isfinite(stamps).all() and len(np.unique(stamps)) == len(stamps) and (np.diff(frame_stamps) > 0).all():
        order = np.argsort(stamps)
        times = _from_first(stamps[order] * seen.seconds)
        places = np.flatnonzero(order < count)
    else:
        if not lost and np.isfinite(stamps).all() and (np.diff(stamps) > 0).all():
            times = _from_first(stamps * seen.seconds)
        before = np.searchsorted(np.array([after for after, _ in lost]), np.arange(count), side="right")
        places = np.arange(count) + before
    length = count + len(lost)
    announced = header.frames or length
    if times is not None and not header.frames:
        announced += missing.behind(float(stamps.max()))
    if missing.at_the_end and length < announced <= BELIEVED * length:
        if times is not None:
            step = 1 / header.fps if header.fps > 0 else 0.0
            times = np.append(times, times[-1] + step * np.arange(1, announced - length + 1))
        length = announced
    reason = seen.reason or structure.damage
    open_end = missing.at_the_end and not (header.frames or header.ends or structure.ends)
    return Survey(length, places, times, seen.mended, seen.resized, reason, shape, structure, open_end)


def _with_seams(structure: Structure, seen: Seen) -> Structure:
    """The structure with the places where FFmpeg says that packets may be missing: also where streams were joined."""
    last = max((packet.at or 0 for packet in seen.packets), default=0)  # if that is corrupt, the file may be cut off
    seams = {place for place in seen.corrupt if place < last}
    return replace(structure, breaks=tuple(sorted(seams.union(structure.breaks)))) if seams else structure


def _lie(lost: np.ndarray, after: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Whether time stamps of lost packets cannot be true: they lie far from those of the frames around them."""
    if not len(frames):
        return np.zeros(len(lost), bool)
    too_early = lost < frames[np.maximum(0, after - REORDERED - 1)]
    later = after + REORDERED
    return too_early | ((later < len(frames)) & (lost > frames[np.minimum(later, len(frames) - 1)]))


def _from_first(times: np.ndarray) -> np.ndarray | None:
    return times - times[0] if len(times) else None
