"""How far a grid of trainings is: what starts, what ends with which figure and time, and how long it will take yet."""

import statistics
import time
from collections.abc import Callable


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
        total: trainings of the grid.
        done: of them, finished before.
        at_once: how many run at a time.
        clock: gives seconds.
    """

    def __init__(
        self, total: int, *, done: int = 0, at_once: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total, self.done = total, done
        self._at_once, self._clock = at_once, clock
        self._began: dict[str, float] = {}
        self._took: list[float] = []

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
        took = now - self._began.pop(name, now)
        if problem:
            return f"{self.done} of {self.total}: {name} FAILED{problem}"
        self._took.append(took)
        said = [f"{self.done} of {self.total} done: {name}", figure, duration(took) + self._left(now)]
        return "  ".join(filter(None, said))

    def _left(self, now: float) -> str:
        """What the trainings that ended say of the others; those that failed say nothing."""
        waiting = self.total - self.done
        if not waiting:
            return ""
        usual = statistics.fmean(self._took)
        running = sum(min(usual, now - began) for began in list(self._began.values()))  # a copy: several threads write
        return f", about {duration((waiting * usual - running) / min(self._at_once, waiting))} left"
