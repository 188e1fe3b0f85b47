"""Paired differences over seeds, with their t interval, and the difference that so many seeds can show."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences, and its confidence interval under a normal distribution.

    Attributes:
        mean: of the differences.
        half_width: of the interval; infinite for a single pair.
        count: of pairs.
        deviation: sample deviation of the differences; None for a single pair.
    """

    mean: float
    half_width: float
    count: int
    deviation: float | None

    @classmethod
    def of(cls, differences: Sequence[float], *, confidence: float = CONFIDENCE) -> "Difference":
        """Student's t interval, mean ± t(1 - (1 - confidence) / 2; n - 1) · s / sqrt(n).

        Args:
            differences: of at least one pair.
            confidence: of the interval.

        Returns:
            Mean and interval.
        """
        count = len(differences)
        deviation = statistics.stdev(differences) if count > 1 else None
        half = math.inf if deviation is None else detectable(deviation, count, confidence=confidence)
        return cls(statistics.fmean(differences), half, count, deviation)

    @property
    def verdict(self) -> str:
        """``helps``, ``harms`` or ``not shown``: on which side of 0 the whole interval lies."""
        if self.mean - self.half_width > 0:
            return "helps"
        return "harms" if self.mean + self.half_width < 0 else "not shown"


def pooled(differences: Sequence[Difference | None]) -> float | None:
    """The deviation of paired differences over several rows, each weighted by its degrees of freedom, n - 1.

    Args:
        differences: of the rows; None, and those of a single pair, say nothing.

    Returns:
        The square root of the pooled variance; None where no row says anything.
    """
    known = [(one.deviation, one.count - 1) for one in differences if one and one.deviation is not None]
    if not known:
        return None
    return math.sqrt(sum(free * deviation**2 for deviation, free in known) / sum(free for _, free in known))


def detectable(deviation: float, count: int, *, confidence: float = CONFIDENCE) -> float:
    """The least mean difference whose interval leaves out 0.

    Args:
        deviation: sample deviation of paired differences.
        count: of pairs, at least 2.
        confidence: of the interval.

    Returns:
        t(1 - (1 - confidence) / 2; n - 1) · s / sqrt(n).
    """
    from scipy.stats import t

    return float(t.ppf(0.5 + confidence / 2, count - 1)) * deviation / math.sqrt(count)
