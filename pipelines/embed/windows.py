"""From the length of a video to its windows and the clips that each is made of: index arithmetic only."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from specvid.datasets.clips.sampling import test_clips, uniform_segments
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.decode import Timing
from specvid.pipelines.embed.config import WindowConfig, parse_span

_SLACK = 1e-6  # s, of time stamps that were rounded


@dataclass(frozen=True, eq=False)
class WindowPlan:
    """The windows and clips of one video.

    Attributes:
        first: int64 (W,), the first frame of each window.
        last: int64 (W,), its last frame, which is part of it.
        clips: int64 (C, T), frame numbers of each clip, in the order of windows; each window has at least one.
        window: int64 (C,), the window that each clip belongs to.
    """

    first: np.ndarray
    last: np.ndarray
    clips: np.ndarray
    window: np.ndarray

    def first_sights(self) -> np.ndarray:
        """Where a window shows a frame for the first time: clips overlap, and short ones are looped.

        Returns:
            bool (C, T), each frame of a window once.
        """
        keys = self.window[:, None] * (self.clips.max() + 1) + self.clips
        first = np.zeros(keys.size, bool)
        first[np.unique(keys, return_index=True)[1]] = True
        return first.reshape(keys.shape)


@dataclass(frozen=True)
class WindowPlanner:
    """Cuts videos into windows.

    A window longer than a clip is covered by the fewest clips that can, spread evenly over it; in a shorter one the
    clip is looped. Where the spec samples segments, a window has one clip: the middle of each of equal parts.

    Args:
        config: which windows.
        spec: the clips that the network takes.
    """

    config: WindowConfig
    spec: ClipSpec

    def plan(self, length: int, timing: Timing) -> WindowPlan:
        """The windows and clips of a video.

        Args:
            length: frames of the video.
            timing: when its frames are shown.

        Returns:
            The plan.

        Raises:
            ValueError: windows are given in seconds, and the video has no frame rate.
        """
        if self.config.window == "uniform":
            clips = self._spread(length)
            spans, window = np.stack([clips.min(1), clips.max(1)], axis=1), np.arange(len(clips))
        else:
            spans = self._slide(length, timing) if self.config.window == "sliding" else _all_frames(length)
            covers = [self.cover(first, last) for first, last in spans.tolist()]
            clips, window = np.concatenate(covers), np.repeat(np.arange(len(spans)), [len(cover) for cover in covers])
        if not self.config.row_per_window:
            spans, window = _all_frames(length), np.zeros(len(clips), np.int64)
        return WindowPlan(spans[:, 0], spans[:, 1], clips, window)

    def window_frames(self, timing: Timing) -> tuple[int, int]:
        """Sliding windows of a video whose frames are evenly spaced.

        Args:
            timing: its frame rate.

        Returns:
            Length of a window, and distance from one to the next, in frames.

        Raises:
            ValueError: windows are given in seconds, and there is no frame rate.
        """
        config, fps = self.config, timing.fps
        size = _frames("length", config.length, fps) if config.length else self.spec.frames * self.spec.stride
        return size, _frames("every", config.every, fps) if config.every else max(1, size // 2)

    def _slide(self, length: int, timing: Timing) -> np.ndarray:
        """(W, 2) first and last frames. Where frames would be left over at the end, one more window ends there."""
        if timing.times is not None and self.config.length.endswith("s"):
            return self._slide_in_time(length, timing)
        size, step = self.window_frames(timing)
        if length <= size:
            return _all_frames(length)
        starts = np.arange(0, length - size + 1, step)
        if starts[-1] + size < length:
            starts = np.append(starts, length - size)
        return np.stack([starts, starts + size - 1], axis=1)

    def _slide_in_time(self, length: int, timing: Timing) -> np.ndarray:
        """The same by presentation times, for frames that are not evenly spaced."""
        size = parse_span("length", self.config.length)[0]
        step, unit = parse_span("every", self.config.every) if self.config.every else (size / 2, "s")
        step = step if unit else step / max(timing.fps, 1e-9)
        duration = timing.duration(length)
        if duration <= size:
            return _all_frames(length)
        times = timing.start(np.arange(length))
        # Only where a frame enters or leaves, a window has other frames than the one before it: so there are no more
        # than two windows a frame, whatever times a file claims. One in which no frame appears would repeat another's.
        changes = np.concatenate([[-step], times, times - size])
        number = np.unique(np.floor((changes + _SLACK) / step) + 1)
        starts = number[(number >= 0) & (number * step <= duration - size + _SLACK)] * step
        first, end = (np.searchsorted(times, edge - _SLACK) for edge in (starts, starts + size))
        spans = np.unique(np.stack([first, end - 1], axis=1)[first < end], axis=0)
        if spans[-1, 1] < length - 1:
            rest = int(np.searchsorted(times, duration - size - _SLACK))
            spans = np.concatenate([spans, [[min(rest, length - 1), length - 1]]])
        return spans

    def _spread(self, length: int) -> np.ndarray:
        """(C, T) clips over all of the video, fewer than wanted where it is too short for as many different ones."""
        if self.spec.sampling == "dense":
            return self._dense(length, self.config.clips)
        edges = np.linspace(0, length, min(self.config.clips, length) + 1).astype(np.int64).tolist()
        return np.stack([self._segments(first, end) for first, end in pairwise(edges)])

    def cover(self, first: int, last: int) -> np.ndarray:
        """The clips that cover one window.

        Args:
            first: its first frame.
            last: its last frame, which is part of it.

        Returns:
            int64 (C, T), frame numbers.
        """
        if self.spec.sampling == "segments":
            return self._segments(first, last + 1)[None]
        length = last - first + 1
        return first + self._dense(length, -(-length // (self.spec.frames * self.spec.stride)))

    def _dense(self, length: int, count: int) -> np.ndarray:
        clips = test_clips(length, self.spec.frames, self.spec.stride, count)
        return clips[np.append(True, np.diff(clips[:, 0]) != 0)]

    def _segments(self, first: int, end: int) -> np.ndarray:
        return first + uniform_segments(end - first, self.spec.frames, None)


def _all_frames(length: int) -> np.ndarray:
    return np.array([[0, length - 1]])


def _frames(name: str, text: str, fps: float) -> int:
    """A setting in frames."""
    value, unit = parse_span(name, text)
    if unit and not fps > 0:
        raise ValueError(
            f"has no frame rate, so --{name} {text} is no number of frames: give it in frames (or --fps, of images)"
        )
    return max(1, round(value * fps)) if unit else int(value)
