"""Paired differences over seeds, with their t interval, and the true difference that so many seeds show."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE, POWER = 0.95, 0.8


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
        half = math.inf if deviation is None else half_width(deviation, count, confidence=confidence)
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


def half_width(deviation: float, count: int, *, confidence: float = CONFIDENCE) -> float:
    """Half of Student's interval of the mean.

    Args:
        deviation: sample deviation of paired differences.
        count: of pairs, at least 2.
        confidence: of the interval.

    Returns:
        t(1 - (1 - confidence) / 2; n - 1) · s / sqrt(n).
    """
    from scipy.stats import t

    return float(t.ppf(0.5 + confidence / 2, count - 1)) * deviation / math.sqrt(count)


def detectable(deviation: float, count: int, *, confidence: float = CONFIDENCE) -> float:
    """The true difference whose interval leaves out 0 in `POWER` of such measurements.

    One as large as the half width is found in about half of them only.

    Args:
        deviation: of paired differences, taken for the true one.
        count: of pairs, at least 2.
        confidence: of the interval.

    Returns:
        The difference, under a normal distribution.
    """
    from scipy.optimize import brentq
    from scipy.stats import chi2, norm

    # the sample deviation, beside the true one, at evenly spaced quantiles: scipy's noncentral t is NaN in its tails
    samples = np.sqrt(chi2.ppf((np.arange(2000) + 0.5) / 2000, count - 1) / (count - 1))
    limits = half_width(1.0, count, confidence=confidence) * math.sqrt(count) * samples

    def found(shift: float) -> float:
        return float(np.mean(norm.sf(limits - shift) + norm.cdf(-limits - shift)))

    shift = brentq(lambda shift: found(shift) - POWER, 0, limits[-1] + norm.isf(1 - POWER))
    return float(shift) * deviation / math.sqrt(count)


def what_seeds_show(metric: str, deviation: float) -> str:
    """What 5, 10 and 20 paired seeds can tell from 0.

    Args:
        metric: what differs.
        deviation: of its paired differences, of 1.

    Returns:
        A sentence, in points.
    """
    seeds = "; ".join(
        f"{count} seeds ±{100 * half_width(deviation, count):.2f}, {100 * detectable(deviation, count):.2f}"
        for count in (5, 10, 20)
    )
    return (
        f"Paired differences of {metric} deviate by {100 * deviation:.2f} points (pooled over the rows). The half "
        f"width of their interval, and the true difference that would be shown in four cases of five: {seeds}."
    )
