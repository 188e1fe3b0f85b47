"""From the probabilities of windows to segments: of one class each, one after the other, with hysteresis.

Windows overlap, segments of one network do not: each window stands for the frames from half way to the window before it
to half way to the one after it, between their middles; the first one also for the frames before, the last one for
those after. All is done as windows come, in memory that does not grow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from specvid.datasets.decode import Timing


@dataclass(frozen=True)
class Segment:
    """What happens in a span of a video.

    Attributes:
        first_frame: its first frame, counted from 0.
        last_frame: its last frame, which is part of it.
        start_s: when it begins, s from the first frame; None where the frame rate is not known.
        end_s: when it ends.
        classes: (name, probability), the most probable first; of windows put together the one class, and its mean.
        windows: how many windows it is made of.
    """

    first_frame: int
    last_frame: int
    start_s: float | None
    end_s: float | None
    classes: tuple[tuple[str, float], ...]
    windows: int = 1


@dataclass(frozen=True)
class Rule:
    """When a class begins and ends.

    Args:
        enter: (C,) a class begins where its probability reaches this.
        leave: (C,) one that has begun goes on while it is at least this.
        several: whether several classes can be there at once. If not, there is the most probable one where it reaches
            ``enter``, else the one of the window before while it lasts, else none.
    """

    enter: np.ndarray
    leave: np.ndarray
    several: bool = False

    def active(self, before: Sequence[int], probabilities_c: np.ndarray) -> list[int]:
        """The classes that are there in a window.

        Args:
            before: those of the window before.
            probabilities_c: (C,) of the window.

        Returns:
            Their numbers, rising.
        """
        if self.several:
            goes_on = np.isin(np.arange(len(probabilities_c)), before) & (probabilities_c >= self.leave)
            return np.flatnonzero(goes_on | (probabilities_c >= self.enter)).tolist()
        best = int(np.argmax(probabilities_c))
        if probabilities_c[best] >= self.enter[best]:
            return [best]
        return [c for c in before if probabilities_c[c] >= self.leave[c]]


@dataclass
class _Open:
    """A segment that has not ended yet."""

    begin: int
    total: float = 0.0
    windows: int = 0


@dataclass(frozen=True)
class Span:
    """A segment in numbers.

    Attributes:
        first: frame.
        last: frame, which is part of it.
        label: number of the class.
        probability: its mean over the windows.
        windows: how many.
    """

    first: int
    last: int
    label: int
    probability: float
    windows: int


class Merger:
    """Puts windows together as they come: ``add`` each, then ``close``.

    Args:
        rule: when classes begin and end.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._open: dict[int, _Open] = {}
        self._before: tuple[int, int] | None = None

    def add(self, first: int, last: int, probabilities_c: np.ndarray) -> list[Span]:
        """Take the next window.

        Args:
            first: its first frame, not before that of the window before.
            last: its last frame.
            probabilities_c: (C,).

        Returns:
            The segments that end before it.
        """
        border = first if self._before is None else (sum(self._before) + first + last + 2) // 4
        active = self.rule.active(list(self._open), probabilities_c)
        ended = [self._end(label, border - 1) for label in list(self._open) if label not in active]
        for label in active:
            segment = self._open.setdefault(label, _Open(border))
            segment.total += float(probabilities_c[label])
            segment.windows += 1
        self._before = (first, last)
        return _in_order(ended)

    def close(self) -> list[Span]:
        """End the video.

        Returns:
            The segments that were still going on.
        """
        if self._before is None:
            return []
        return _in_order([self._end(label, self._before[1]) for label in list(self._open)])

    def _end(self, label: int, last: int) -> Span:
        segment = self._open.pop(label)
        return Span(segment.begin, last, label, segment.total / segment.windows, segment.windows)


def _in_order(spans: list[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span.first, span.label))


class SegmentMaker:
    """From windows in order to segments with names and times, put together or not.

    Args:
        names: of the classes.
        timing: when frames are shown.
        rule: puts windows together; None leaves each as it is.
        top: how many classes of a window are named.
    """

    def __init__(self, names: Sequence[str], timing: Timing, rule: Rule | None, top: int) -> None:
        self.names, self.timing, self.top = names, timing, top
        self._merger = None if rule is None else Merger(rule)

    def add(self, first: int, last: int, probabilities_c: np.ndarray) -> list[Segment]:
        """Take the next window.

        Args:
            first: its first frame.
            last: its last frame.
            probabilities_c: (C,).

        Returns:
            The segments that are complete now.
        """
        if self._merger is None:
            best = np.argsort(-probabilities_c, kind="stable")[: self.top].tolist()
            return [self._segment(first, last, [(c, float(probabilities_c[c])) for c in best], 1)]
        return self._named(self._merger.add(first, last, probabilities_c))

    def close(self) -> list[Segment]:
        """End the video.

        Returns:
            The segments that were still going on.
        """
        return [] if self._merger is None else self._named(self._merger.close())

    def _named(self, spans: list[Span]) -> list[Segment]:
        return [self._segment(s.first, s.last, [(s.label, s.probability)], s.windows) for s in spans]

    def _segment(self, first: int, last: int, classes: list[tuple[int, float]], windows: int) -> Segment:
        start, end = self.timing.start(np.array([first]))[0], self.timing.end(np.array([last]))[0]
        begins, ends = (None, None) if np.isnan(start) else (float(start), float(end))
        return Segment(first, last, begins, ends, tuple((self.names[c], share) for c, share in classes), windows)
