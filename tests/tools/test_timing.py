"""Alternatives in turn: what warms up, what counts, what is left out."""

import pytest

from specvid.tools import timing
from specvid.tools.timing import interleaved, median, ratio


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only the work itself moves."""
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    return now


def takes(clock: list[float], seconds: list[float]):
    """Work that takes so many seconds, run by run."""
    runs = iter(seconds)

    def run() -> None:
        clock[0] += next(runs)

    return run


def test_the_first_round_warms_up_and_ratios_are_of_a_round(clock: list[float]) -> None:
    work = {"a": takes(clock, [0.9, 0.1, 0.2, 0.3]), "b": takes(clock, [1.9, 0.2, 0.4, 0.9])}
    found = interleaved(work, rounds=3)
    assert [list(seconds) for seconds in found.values()] == [[1, 2, 3]] * 2
    assert median(found["a"]) == pytest.approx(0.2)
    assert ratio(found, "b", "a") == pytest.approx(2)


def test_what_is_slow_counts_at_once_and_runs_no_further_rounds(clock: list[float]) -> None:
    work = {"fast": takes(clock, [0.1] * 4), "slow": takes(clock, [6.0, 8.0])}
    found = interleaved(work, rounds=3, patience={"slow": 10})
    assert found["slow"] == pytest.approx({0: 6, 1: 8})
    assert list(found["fast"]) == [1, 2, 3]
    assert ratio(found, "slow", "fast") == pytest.approx(80)
    only = interleaved({"fast": takes(clock, [0.1] * 4), "slow": takes(clock, [11.0])}, rounds=3, patience={"slow": 10})
    assert only["slow"] == pytest.approx({0: 11})
    assert ratio(only, "slow", "fast") == pytest.approx(110)  # of the medians: no round has both
