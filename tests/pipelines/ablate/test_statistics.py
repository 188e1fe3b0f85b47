"""Intervals against scipy's paired t test and a simulation."""

import numpy as np
import pytest
from scipy import stats

from specvid.pipelines.ablate.statistics import Difference, detectable, pooled


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=7), rng.normal(size=7) + 0.4
    expected = stats.ttest_rel(b, a).confidence_interval(0.95)
    found = Difference.of((b - a).tolist())
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx(tuple(expected))


@pytest.mark.parametrize(
    ("values", "verdict"), [((1, 2, 3), "not shown"), ((2, 2.1, 2.2), "helps"), ((-3, -3.1), "harms")]
)
def test_the_verdict_is_the_side_of_zero(values: tuple, verdict: str) -> None:
    assert Difference.of(values).verdict == verdict


def test_a_single_pair_shows_nothing() -> None:
    assert Difference.of([5.0]).verdict == "not shown"
    assert Difference.of([5.0]).deviation is None


def test_rows_count_by_their_seeds() -> None:
    """The pooled variance of a textbook: residuals around the mean of each row, over their degrees of freedom."""
    rng = np.random.default_rng(1)
    rows = [rng.normal(scale=scale, size=size) for scale, size in ((1.0, 3), (5.0, 20), (2.0, 6))]
    squares = sum(float(np.square(row - row.mean()).sum()) for row in rows)
    found = pooled([*(Difference.of(row.tolist()) for row in rows), None, Difference.of([7.0])])
    assert found == pytest.approx((squares / (2 + 19 + 5)) ** 0.5)
    assert pooled([None, Difference.of([7.0])]) is None


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    intervals = [Difference.of(rng.normal(0.3, 1.0, size=5).tolist()) for _ in range(2000)]
    covered = np.mean([abs(found.mean - 0.3) <= found.half_width for found in intervals])
    assert covered == pytest.approx(0.95, abs=0.015)
    assert detectable(1.0, 20) < detectable(1.0, 5)
