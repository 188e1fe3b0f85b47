"""Windows put together: against a slow form that has all windows at hand, and by hand."""

from itertools import pairwise

import numpy as np
import pytest

from specvid.datasets.decode import Timing
from specvid.pipelines.segments.config import SegmentConfig, parse_raw
from specvid.pipelines.segments.merging import Merger, Rule, SegmentMaker


def merged(rule: Rule, windows: list[tuple[int, int]], probabilities: np.ndarray) -> list[tuple]:
    merger, found = Merger(rule), []
    for (first, last), row in zip(windows, probabilities, strict=True):
        found += merger.add(first, last, row)
    return [(s.first, s.last, s.label, round(s.probability, 9), s.windows) for s in found + merger.close()]


def slowly(rule: Rule, windows: list[tuple[int, int]], probabilities: np.ndarray) -> set[tuple]:
    """Each window's own frames first; then the label of each window; then runs of it."""
    middles = [(first + last + 1) / 2 for first, last in windows]
    borders = [windows[0][0], *(int((a + b) // 2) for a, b in pairwise(middles)), windows[-1][1] + 1]
    labels: list[set[int]] = []
    for row in probabilities:
        before = labels[-1] if labels else set()
        if rule.several:
            labels.append({c for c, p in enumerate(row) if p >= rule.enter[c] or (c in before and p >= rule.leave[c])})
        elif row.max() >= rule.enter[row.argmax()]:
            labels.append({int(row.argmax())})
        else:
            labels.append({c for c in before if row[c] >= rule.leave[c]})
    found = set()
    for c in range(probabilities.shape[1]):
        k = 0
        while k < len(labels):
            end = k
            while end < len(labels) and c in labels[end]:
                end += 1
            if end > k:
                found.add((borders[k], borders[end] - 1, c, round(float(probabilities[k:end, c].mean()), 9), end - k))
            k = max(end, k + 1)
    return found


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_slow_form(several: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, size, step = int(rng.integers(1, 30)), int(rng.integers(1, 20)), int(rng.integers(1, 15))
    windows = [(k * step, k * step + size - 1) for k in range(count)]
    windows.append((windows[-1][0] + int(rng.integers(1, step + 1)), windows[-1][1] + step))  # the one at the end
    probabilities = rng.dirichlet(np.full(4, 0.4), len(windows))
    enter = rng.choice([0.0, 0.3, 0.6, 0.9], 4)
    rule = Rule(enter, enter * rng.random(), several)
    found = merged(rule, windows, probabilities)
    assert set(found) == slowly(rule, windows, probabilities) and len(found) == len(set(found))
    if not several:  # one class at a time: segments do not overlap
        assert all(a[1] < b[0] for a, b in pairwise(sorted(found)))


def test_hysteresis_by_hand() -> None:
    windows = [(k * 10, k * 10 + 19) for k in range(5)]
    rows = np.array([[0.2, 0.8], [0.6, 0.4], [0.45, 0.55], [0.3, 0.7], [0.5, 0.5]])
    rule = Rule(np.array([0.6, 0.6]), np.array([0.4, 0.4]))
    assert merged(rule, windows, rows) == [(0, 14, 1, 0.8, 1), (15, 34, 0, 0.525, 2), (35, 59, 1, 0.6, 2)]
    none = Rule(np.zeros(2), np.zeros(2))  # the most probable class always; of two equal ones the first
    assert [part[2] for part in merged(none, windows, rows)] == [1, 0, 1, 0]
    assert merged(Rule(np.full(2, 0.9), np.full(2, 0.9)), windows, rows) == []


def test_windows_that_are_left_as_they_are() -> None:
    maker = SegmentMaker(["a", "b", "c"], Timing(10.0), None, top=2)
    (one,) = maker.add(5, 24, np.array([0.2, 0.5, 0.3]))
    assert (one.start_s, one.end_s, one.classes) == (0.5, 2.5, (("b", 0.5), ("c", 0.3)))
    (unknown,) = SegmentMaker(["a"], Timing(), None, top=1).add(0, 3, np.array([1.0]))
    assert unknown.start_s is None and maker.close() == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"length": "2s"}, "length '2s' belongs to --window sliding"),
        ({"merge": True}, "merge belongs to --window sliding"),
        ({"window": "sliding", "every": "x"}, "every 'x' must be seconds"),
        ({"window": "sliding", "enter": 0.5}, "enter 0.5 belongs to --merge"),
        ({"window": "sliding", "merge": True, "enter": 2.0}, "enter 2.0 must be a probability"),
        ({"window": "sliding", "merge": True, "enter": 0.3, "leave": 0.4}, "leave 0.4 must be at most enter 0.3"),
        ({"window": "sliding", "fps": 0.0}, "fps 0.0 must be greater than 0"),
    ],
)
def test_mistakes(options: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SegmentConfig(**options)


def test_raw_frames() -> None:
    assert parse_raw("320x240@29.97") == (320, 240, 29.97)
    for text in ("320x240", "0x240@25", "320*240@25", "320x240@0"):
        with pytest.raises(ValueError, match="must be WIDTHxHEIGHT@FPS"):
            parse_raw(text)
