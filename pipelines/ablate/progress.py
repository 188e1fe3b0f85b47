"""How far a grid of trainings is: what starts, what ends with which figure and time, and how long it will take yet."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping


def duration(seconds: float) -> str:
    """A time in words, as exact as anybody wants to know it.

    Args:
        seconds: it is long.

    Returns:
        ``28 s``, ``12 min`` or ``3.5 h``.
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


class Progress:
    """The lines about the trainings of a grid.

    Args:
        rows: the row of each training that is left, by its name.
        done: trainings that were finished before.
        at_once: how many run at a time.
        clock: gives seconds.
    """

    def __init__(
        self, rows: Mapping[str, str], *, done: int = 0, at_once: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total, self.done = done + len(rows), done
        self._waiting, self._at_once, self._clock = dict(rows), at_once, clock
        self._began: dict[str, float] = {}
        self._took: dict[str, list[float]] = defaultdict(list)  # by row: some blocks are slower than others

    def start(self, name: str) -> str:
        """Note that a training starts.

        Args:
            name: of its run.

        Returns:
            A line.
        """
        self._began[name] = self._clock()
        return f"started: {name}"

    def end(self, name: str, *, figure: str = "", problem: str = "") -> str:
        """Note that a training ended.

        Args:
            name: of its run.
            figure: what it scored, in words.
            problem: why it failed; empty where it did not.

        Returns:
            A line.
        """
        now, self.done = self._clock(), self.done + 1
        took, row = now - self._began.pop(name, now), self._waiting.pop(name)
        if problem:
            return f"{self.done} of {self.total}: {name} FAILED{problem}"
        self._took[row].append(took)
        said = [f"{self.done} of {self.total} done: {name}", figure, duration(took) + self._left(now)]
        return "  ".join(filter(None, said))

    def _left(self, now: float) -> str:
        """What the trainings that ended say of the others; those that failed say nothing."""
        left = [max(0.0, self._usual(row, now) - self._so_far(name, now)) for name, row in self._waiting.items()]
        seconds = max(sum(left) / min(self._at_once, len(left)), *left) if left else 0.0
        return f", about {duration(seconds)} left" if seconds >= 1 else ""  # those that run take longer than others did

    def _usual(self, row: str, now: float) -> float:
        """How long a training of a row takes: as those of it that ended, or of any; as long as one already runs."""
        ended = self._took.get(row) or [took for others in self._took.values() for took in others]
        running = [self._so_far(name, now) for name, own in self._waiting.items() if own == row]
        return max(statistics.fmean(ended), *running)

    def _so_far(self, name: str, now: float) -> float:
        return now - self._began.get(name, now)
