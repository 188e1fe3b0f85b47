"""From the length of a video to its windows and the clips that each is made of: index arithmetic only."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from specvid.datasets.clips.sampling import test_clips, uniform_segments
from specvid.pipelines.embed.config import WindowChoice, parse_span


@dataclass(frozen=True, eq=False)
class Plan:
    """``first``, ``last`` (W,) int64: frames of each window, both included; ``clips`` (C, T) int64: frames of each
    clip; ``window`` (C,) int64: whose clip it is. Clips come in the order of windows, each window has at least one.
    """

    first: np.ndarray
    last: np.ndarray
    clips: np.ndarray
    window: np.ndarray


@dataclass(frozen=True)
class Windows:
    """The rule: ``plan(length, fps)`` for a network that takes ``frames`` frames, ``stride`` apart.

    A window longer than a clip is covered by the fewest clips that can, spread evenly over it; in a shorter one the
    clip is looped. ``sampling="segments"`` makes one clip of a window: the middle of each of ``frames`` equal parts.
    """

    choice: WindowChoice
    frames: int
    stride: int
    sampling: str

    def plan(self, length: int, fps: float) -> Plan:
        """``ValueError`` where seconds are asked for and the video has no frame rate (``fps`` 0)."""
        if self.choice.window == "uniform":
            clips = self._spread(length)
            spans, window = np.stack([clips.min(1), clips.max(1)], axis=1), np.arange(len(clips))
        else:
            spans = self._slide(length, fps) if self.choice.window == "sliding" else _whole(length)
            covers = [self._cover(first, last) for first, last in spans.tolist()]
            clips, window = np.concatenate(covers), np.repeat(np.arange(len(spans)), [len(cover) for cover in covers])
        if not self.choice.per_window:
            spans, window = _whole(length), np.zeros(len(clips), np.int64)
        return Plan(spans[:, 0], spans[:, 1], clips, window)

    def _slide(self, length: int, fps: float) -> np.ndarray:
        """(W, 2) first and last frames. Where frames would be left over at the end, one more window ends there."""
        size = _frames("length", self.choice.length, fps) if self.choice.length else self.frames * self.stride
        step = _frames("every", self.choice.every, fps) if self.choice.every else max(1, size // 2)
        if length <= size:
            return _whole(length)
        starts = np.arange(0, length - size + 1, step)
        if starts[-1] + size < length:
            starts = np.append(starts, length - size)
        return np.stack([starts, starts + size - 1], axis=1)

    def _spread(self, length: int) -> np.ndarray:
        """``choice.clips`` clips over the whole video, fewer where it is too short for as many different ones."""
        if self.sampling == "dense":
            return self._dense(length, self.choice.clips)
        edges = np.linspace(0, length, min(self.choice.clips, length) + 1).astype(np.int64).tolist()
        return np.stack([self._segments(first, end) for first, end in pairwise(edges)])

    def _cover(self, first: int, last: int) -> np.ndarray:
        if self.sampling == "segments":
            return self._segments(first, last + 1)[None]
        length = last - first + 1
        return first + self._dense(length, -(-length // (self.frames * self.stride)))

    def _dense(self, length: int, count: int) -> np.ndarray:
        clips = test_clips(length, self.frames, self.stride, count)
        return clips[np.append(True, np.diff(clips[:, 0]) != 0)]

    def _segments(self, first: int, end: int) -> np.ndarray:
        return first + uniform_segments(end - first, self.frames, None)


def _whole(length: int) -> np.ndarray:
    return np.array([[0, length - 1]])


def _frames(name: str, text: str, fps: float) -> int:
    value, unit = parse_span(name, text)
    if unit and not fps > 0:
        raise ValueError(f"has no frame rate, so --{name} {text} cannot be told in frames: give it in frames")
    return max(1, round(value * fps)) if unit else int(value)
