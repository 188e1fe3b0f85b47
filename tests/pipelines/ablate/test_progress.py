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
    progress = Progress(6, done=1, clock=lambda: now[0])
    assert progress.start("bare-seed1") == "started: bare-seed1"
    now[0] += 28
    assert progress.end("bare-seed1", figure="mAP 22.32") == (
        "2 of 6 done: bare-seed1  mAP 22.32  28 s, about 2 min left"
    )


def test_what_runs_beside_it_is_on_its_way() -> None:
    """Eight trainings of 60 s, four at a time: after the first four as much again is left."""
    now = [0.0]
    progress = Progress(8, at_once=4, clock=lambda: now[0])
    for name in "abcd":
        progress.start(name)
    now[0] = 60
    assert progress.end("a").endswith("60 s, about 60 s left")


def test_one_that_failed_at_once_says_nothing_of_the_time_of_others() -> None:
    now = [0.0]
    progress = Progress(3, clock=lambda: now[0])
    progress.start("a")
    assert progress.end("a", problem=": no such file") == "1 of 3: a FAILED: no such file"
    progress.start("b")
    now[0] = 10
    assert progress.end("b") == "2 of 3 done: b  10 s, about 10 s left"
    progress.start("c")
    assert progress.end("c") == "3 of 3 done: c  0 s"
