"""Frames of which not even a packet is there: the container is damaged, and FFmpeg went on at the next place.

Where a file has an index of its pictures, that names them. Elsewhere the time stamps of the packets around the damage
show how many there were. A gap in the time stamps without damage is none: a camera may leave frames out.
"""

from dataclasses import dataclass

import numpy as np

from specvid.datasets.decode.probe import Probe
from specvid.datasets.decode.structure.walk import Structure

BELIEVED = 1000  # times as many frames as decode, that a header may announce: a damaged one announces anything
_NEAR = 17  # packets; those of pictures that are shown after one another stand no farther apart
NEVER_DROPPED = ("mpeg1video", "mpeg2video")  # with an even rate each frame is there: a gap is a loss
_WITHOUT_TIMES = ("mpegvideo",)  # bare streams of these codecs: FFmpeg makes the time stamps up, gaps included
_EVEN = 0.8  # share of equal intervals from which on the rate is even


@dataclass(frozen=True)
class SeenPacket:
    """A packet that came.

    Args:
        at: its place in the file, in bytes; None where it is not known.
        stamp: its presentation time, in ticks.
        after: frames that come before it.
    """

    at: int | None
    stamp: int | None
    after: int


Lost = list[tuple[int, int | None]]
"""(frames before it, time stamp) of each frame."""


class MissingFrames:
    """What is missing of a video, besides packets that do not decode.

    Args:
        structure: of the file.
        header: of the file.
        packets: all that came, in their order.
        count: frames that decode.
        seconds: of one tick.
    """

    def __init__(
        self, structure: Structure, header: Probe, packets: list[SeenPacket], *, count: int, seconds: float
    ) -> None:
        self.structure, self.header, self.packets, self.count, self.seconds = structure, header, packets, count, seconds
        places: list[int] = []
        for packet in packets:  # several that come out of one part of the file have its place
            places.append(places[-1] if packet.at is None and places else packet.at or 0)
        self._places = np.array(places, np.int64)
        stamps = [packet.stamp for packet in packets]
        self._stamps = None if None in stamps else np.array(stamps, float)
        self._interval = 0.0 if self._stamps is None or len(stamps) < 3 else float(np.median(_steps(self._stamps)))

    @property
    def at_the_end(self) -> bool:
        """Whether what is missing reaches to the end."""
        breaks = self.structure.breaks
        return bool(self.structure.cut or (breaks and breaks[-1] >= self._places.max(initial=0)))

    def inside(self) -> Lost:
        """The frames that are missing between others."""
        is_sound = not (self.structure.breaks or self.at_the_end or self.header.codec in NEVER_DROPPED)
        if is_sound or not self.packets or self.header.container in _WITHOUT_TIMES:
            return []
        pictures = self.structure.pictures
        if pictures is not None and np.isin(self._places, pictures).mean() > 0.9:
            gone = np.setdiff1d(pictures, self._places)
            return [(self._after(int(place)), None) for place in np.searchsorted(self._places, gone)]
        if self.structure.chunks:
            gone_count = self.header.frames - max(self.structure.chunks, len(self.packets))
            if self.at_the_end or not 0 < gone_count <= BELIEVED * self.count:
                return []
            place = int(np.searchsorted(self._places, self.structure.breaks[0]))
            return [(self._after(place), None)] * gone_count
        return self._in_gaps()

    def behind(self, last: float) -> int:
        """How many frames are missing at the end.

        Args:
            last: time stamp of the last frame there is, in ticks.
        """
        ends = self.structure.ends or self.header.ends
        if not self.at_the_end or not ends or self._interval <= 0:
            return 0
        missing = round((ends / self.seconds - last) / self._interval) - 1
        return missing if 0 < missing <= BELIEVED * self.count else 0

    def _after(self, packet: int) -> int:
        return self.packets[packet].after if packet < len(self.packets) else self.count

    def _in_gaps(self) -> Lost:
        """Frames at the time stamps that are missing near the damage."""
        if self._stamps is None or self._interval <= 0:
            return []
        stamps = np.unique(self._stamps)
        steps = np.diff(stamps)
        gaps = np.flatnonzero(steps > 1.5 * self._interval)
        is_even = (np.abs(steps - self._interval) < 0.1 * self._interval).mean() > _EVEN
        spans = self._spans(always=is_even and self.header.codec in NEVER_DROPPED)
        own = {
            place: gaps[(stamps[gaps] >= low) & (stamps[gaps + 1] <= high)] for place, (low, high, _) in spans.items()
        }
        is_even &= len(gaps) == len(np.unique(np.concatenate([*own.values(), gaps[:0]])))  # no gap without damage
        found: dict[int, int] = {}
        for place, near in own.items():
            if not is_even:  # the largest gap may be the damage, the others are none
                near = near[np.argsort(steps[near])][-1:] if place < len(self._stamps) else near[:0]
            for gap in near.tolist():
                count = round(steps[gap] / self._interval)
                if count <= spans[place][2]:
                    filled = np.linspace(stamps[gap], stamps[gap + 1], count + 1)[1:-1]
                    found |= {round(stamp): self._after(place) for stamp in filled.tolist()}
        return [(after, stamp) for stamp, after in sorted(found.items())]

    def _spans(self, *, always: bool) -> dict[int, tuple[float, float, float]]:
        """Number of a packet before which something is missing -> the time stamps around it, and how many frames there
        can be at most: a damaged time stamp may claim any distance."""
        stamps, places = self._stamps, self._places
        assert stamps is not None
        numbers = set(np.searchsorted(places, self.structure.breaks).tolist())
        if self.at_the_end:  # of pictures that refer to later ones some may be missing before the last one
            numbers.add(len(stamps))
        if always:
            numbers |= set((np.flatnonzero(np.abs(np.diff(stamps)) > 1.5 * self._interval) + 1).tolist())
        ranks = np.argsort(np.argsort(stamps, kind="stable"), kind="stable")
        # The order of decoding moves pictures so far; and FFmpeg may give a packet or two of what is damaged.
        reach = 3 + min(_NEAR, int(np.abs(ranks - np.arange(len(stamps))).max()))
        size = max(1.0, (places[-1] - places[0]) / len(stamps))  # bytes from one packet to the next
        spans = {}
        for number in sorted(numbers - {0}):
            last = min(number, len(stamps) - 1)
            together = int(np.searchsorted(places, places[last], side="right"))  # they come out of one part of the file
            near = stamps[max(0, number - reach) : max(together, last) + reach - 1]
            gone = places[last] - places[number - 1]
            spans[number] = (float(near.min()), float(near.max()), _NEAR + 4 * float(gone) / size)
        return spans


def _steps(stamps: np.ndarray) -> np.ndarray:
    return np.diff(np.unique(stamps))
