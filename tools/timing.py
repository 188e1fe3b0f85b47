"""Times of alternatives side by side: every round runs each once, so that a noisy machine disturbs all alike.

Each round has an order of its own, for what an alternative finds in the caches is what the one before it left there.
"""

import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

Seconds = dict[int, float]
"""round -> seconds, of the rounds in which an alternative ran and counted."""

SLOW = 2.0  # seconds of a run to which warming up adds nothing worth a run of its own


class Stopwatch:
    """Context manager that times the block.

    Attributes:
        seconds: by the clock.
        cpu: seconds of CPU time of this process, all its threads together.
        cpu_of_all: with that of its processes that ended within the block.
    """

    def __enter__(self) -> "Stopwatch":
        self._start = time.perf_counter(), time.process_time(), _of_children()
        return self

    def __exit__(self, *_: object) -> None:
        clock, cpu, children = self._start
        self.seconds, self.cpu = time.perf_counter() - clock, time.process_time() - cpu
        self.cpu_of_all = self.cpu + _of_children() - children


def _of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


@contextmanager
def held_to(count: int, get: Callable[[], int], put: Callable[[int], object]) -> Iterator[None]:
    """Let a library compute with so many threads in the block, and with as many as before after it.

    Args:
        count: threads.
        get: of the library, how many there are.
        put: of the library, sets how many there are.
    """
    before = get()
    put(count)
    try:
        yield
    finally:
        put(before)


def torch_threads(count: int) -> AbstractContextManager[None]:
    """:func:`held_to` of PyTorch.

    Args:
        count: threads.
    """
    import torch

    return held_to(count, torch.get_num_threads, torch.set_num_threads)


def interleaved(
    work: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 5,
    warm_up: int = 1,
    patience: Mapping[str, float] | None = None,
    cpu: bool = False,
    clock: Callable[[Callable[[], object]], float] | None = None,
    on_round: Callable[[int, dict[str, float]], None] | None = None,
) -> dict[str, Seconds]:
    """Time alternatives in turn.

    Args:
        work: name -> what to time.
        rounds: how often each is timed, in rounds 1 to ``rounds``.
        warm_up: rounds before them, which do not count.
        patience: seconds of all runs of an alternative after which it is left out, once it was timed; of these
            alternatives a warm-up counts that took longer than ``SLOW``.
        cpu: CPU time of this process, of which other processes take nothing, instead of that of the clock.
        clock: runs an alternative and returns its seconds, instead of either.
        on_round: called with the number of each round (0 and less: warm-up) and its seconds.

    Returns:
        Seconds of each alternative by round.
    """
    counted: dict[str, Seconds] = {name: {} for name in work}
    left = dict(patience or {})
    order = random.Random(0)
    for number in range(1 - warm_up, rounds + 1):
        elapsed: dict[str, float] = {}
        for name, run in order.sample(list(work.items()), len(work)):
            if left.get(name, 0) < 0 and counted[name]:
                continue
            if clock is not None:
                elapsed[name] = clock(run)
            else:
                with Stopwatch() as watch:
                    run()
                elapsed[name] = watch.cpu if cpu else watch.seconds
            if name in left:
                left[name] -= elapsed[name]
            if number > 0 or (name in left and elapsed[name] > SLOW):
                counted[name][number] = elapsed[name]
        if on_round is not None:
            on_round(number, elapsed)
    return counted


def median(seconds: Seconds) -> float:
    """Median over the rounds.

    Args:
        seconds: of one alternative.
    """
    return statistics.median(seconds.values())


def ratios(seconds: Mapping[str, Seconds], name: str, to: str) -> list[float]:
    """Ratios of two alternatives within a round.

    Args:
        seconds: of all alternatives.
        name: the one.
        to: the other.

    Returns:
        The time of ``name`` over that of ``to``, for each round that has both.
    """
    return [own / seconds[to][number] for number, own in seconds[name].items() if number in seconds[to]]


def ratio(seconds: Mapping[str, Seconds], name: str, to: str) -> float:
    """Ratio of two alternatives: the median of ``ratios``, or the ratio of their medians where no round has both.

    Args:
        seconds: of all alternatives.
        name: the one.
        to: the other.
    """
    found = ratios(seconds, name, to)
    return statistics.median(found) if found else median(seconds[name]) / median(seconds[to])
