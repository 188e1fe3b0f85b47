"""Lines about the trainings of a grid, with a clock that the test turns."""

import pytest

from specvid.pipelines.ablate.progress import Progress, duration


@pytest.mark.parametrize(
    ("seconds", "says"), [(0.4, "0 s"), (28, "28 s"), (89, "89 s"), (100, "2 min"), (5000, "83 min"), (12600, "3.5 h")]
)
def test_times_are_in_words(seconds: float, says: str) -> None:
    assert duration(seconds) == says


def test_what_ends_says_its_figure_its_time_and_what_is_left() -> None:
    now = [100.0]
    progress = Progress(dict.fromkeys(["bare-seed1", *"abcd"], "row"), done=1, clock=lambda: now[0])
    assert progress.start("bare-seed1") == "started: bare-seed1"
    now[0] += 28
    assert progress.end("bare-seed1", figure="mAP 22.32") == (
        "2 of 6 done: bare-seed1  mAP 22.32  28 s, about 2 min left"
    )


def test_what_runs_beside_it_is_on_its_way() -> None:
    """Eight trainings of 60 s, four at a time: after the first four as much again is left."""
    now = [0.0]
    progress = Progress(dict.fromkeys("abcdefgh", "row"), at_once=4, clock=lambda: now[0])
    for name in "abcd":
        progress.start(name)
    now[0] = 60
    assert progress.end("a").endswith("60 s, about 60 s left")


def test_one_that_failed_at_once_says_nothing_of_the_time_of_others() -> None:
    now = [0.0]
    progress = Progress(dict.fromkeys("abc", "row"), clock=lambda: now[0])
    progress.start("a")
    assert progress.end("a", problem=": no such file") == "1 of 3: a FAILED: no such file"
    progress.start("b")
    now[0] = 10
    assert progress.end("b") == "2 of 3 done: b  10 s, about 10 s left"
    progress.start("c")
    assert progress.end("c") == "3 of 3 done: c  0 s"


def test_slower_rows_take_longer() -> None:
    now = [0.0]
    progress = Progress({"a0": "a", "b0": "b", "a1": "a", "b1": "b"}, clock=lambda: now[0])
    for name, seconds in (("a0", 10), ("b0", 50), ("a1", 10)):
        progress.start(name)
        now[0] += seconds
        line = progress.end(name)
    assert line == "3 of 4 done: a1  10 s, about 50 s left"


def test_nothing_is_said_of_what_is_left_where_it_takes_longer_than_the_others_did() -> None:
    """It was said to take 0 s yet."""
    now = [0.0]
    progress = Progress({"a": "a", "b": "b"}, at_once=2, clock=lambda: now[0])
    for name in "ab":
        progress.start(name)
    now[0] = 20
    assert progress.end("a") == "1 of 2 done: a  20 s"


def test_several_at_a_time_end_with_the_longest() -> None:
    now = [0.0]
    progress = Progress({"a0": "a", "b0": "b", "a1": "a", "b1": "b"}, at_once=2, clock=lambda: now[0])
    for name, seconds in (("a0", 10), ("b0", 50)):
        progress.start(name)
        now[0] += seconds
        line = progress.end(name)
    assert line.endswith("50 s, about 50 s left")
