"""Times of alternatives side by side: every round runs each once, so that a noisy machine disturbs all alike.

Each round has an order of its own, for what an alternative finds in the caches is what the one before it left there.
"""

import random
import statistics
import time
from collections.abc import Callable, Mapping

Seconds = dict[int, float]
"""round -> seconds, of the rounds in which an alternative ran and counted."""

SLOW = 2.0  # seconds of a run to which warming up adds nothing worth a run of its own


def interleaved(
    work: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 5,
    patience: Mapping[str, float] | None = None,
    synchronize: Callable[[], object] | None = None,
) -> dict[str, Seconds]:
    """Seconds of each alternative in rounds 1 to ``rounds``; round 0 warms up, and counts only for what is slow.

    Args:
        work: name -> what to time.
        rounds: how often each runs.
        patience: seconds of all runs of an alternative after which it is left out, once it was timed.
        synchronize: waits for a device, called before each reading of the clock.
    """
    wait = synchronize or (lambda: None)
    counted: dict[str, Seconds] = {name: {} for name in work}
    left = {name: (patience or {}).get(name, float("inf")) for name in work}
    order = random.Random(0)
    for round in range(rounds + 1):
        for name, run in order.sample(list(work.items()), len(work)):
            if left[name] < 0 and counted[name]:
                continue
            wait()
            start = time.perf_counter()
            run()
            wait()
            elapsed = time.perf_counter() - start
            left[name] -= elapsed
            if round or elapsed > SLOW:
                counted[name][round] = elapsed
    return counted


def median(seconds: Seconds) -> float:
    """Median over the rounds."""
    return statistics.median(seconds.values())


def ratio(seconds: Mapping[str, Seconds], name: str, to: str) -> float:
    """Median over the rounds of the time of ``name`` over that of ``to`` in the same round; the ratio of their medians
    where no round has both.
    """
    pairs = [seconds[name][round] / seconds[to][round] for round in seconds[name].keys() & seconds[to].keys()]
    return statistics.median(pairs) if pairs else median(seconds[name]) / median(seconds[to])
