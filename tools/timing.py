"""Times of alternatives side by side: every round runs each once, so that a noisy machine disturbs all alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(
    work: Mapping[str, Callable[[], object]], *, rounds: int = 5, synchronize: Callable[[], object] | None = None
) -> dict[str, list[float]]:
    """Seconds of each alternative in each of ``rounds`` rounds, after one round of warm-up that is not counted.

    Args:
        work: name -> what to time.
        rounds: how often each runs.
        synchronize: waits for a device, called before each reading of the clock.
    """
    wait = synchronize or (lambda: None)
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for round in range(rounds + 1):
        for name, run in work.items():
            wait()
            start = time.perf_counter()
            run()
            wait()
            if round:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: Mapping[str, list[float]], name: str, to: str) -> float:
    """Median over the rounds of the time of ``name`` over that of ``to`` in the same round."""
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[to], strict=True))
