"""Intervals against scipy's paired t test and a simulation."""

import numpy as np
import pytest
from scipy import stats

from specvid.pipelines.ablate.cells import points
from specvid.pipelines.ablate.statistics import Difference, detectable, half_width, pooled, what_seeds_show


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


@pytest.mark.parametrize("count", [3, 5, 20])
def test_a_detectable_difference_is_found_in_four_of_five_measurements(count: int) -> None:
    rng = np.random.default_rng(2)
    shown = {}
    for true in (detectable(1.0, count), half_width(1.0, count)):
        found = [Difference.of(rng.normal(true, 1.0, size=count).tolist()) for _ in range(2000)]
        shown[true] = np.mean([one.verdict != "not shown" for one in found])
    assert shown[detectable(1.0, count)] == pytest.approx(0.8, abs=0.03)
    assert shown[half_width(1.0, count)] < 0.65


def test_the_power_is_that_of_the_paired_t_test() -> None:
    assert detectable(1.0, 10) == pytest.approx(0.9960, abs=2e-3)  # one deviation takes ten pairs
    assert detectable(1.0, 2) > detectable(1.0, 3) > half_width(1.0, 3)


def test_a_difference_that_rounds_to_0_has_one_sign() -> None:
    assert points(Difference.of([-1e-6, -1e-6])) == "+0.00 [+0.00, +0.00]"
    assert points(Difference.of([-1e-6])) == "+0.00"


def test_what_seeds_show_is_said_in_points() -> None:
    assert what_seeds_show("mAP", 0.0178).endswith(
        "deviate by 1.78 points (pooled over the rows). The half width of their interval, and the true difference that "
        "would be shown in four cases of five: 5 seeds ±2.21, 2.99; 10 seeds ±1.27, 1.77; 20 seeds ±0.83, 1.18."
    )
