"""When the trainings that failed say that the others will, too."""

import pytest

from specvid.pipelines.ablate.failures import would_all_fail
from specvid.pipelines.engine.meter import DIVERGED


@pytest.mark.parametrize(
    ("ended", "rows", "says"),
    [
        ({}, 2, False),
        (("bad",), 1, False),
        (("bad", "bad"), 1, False),  # one row is left, of two seeds
        (("bad", "bad", "bad"), 1, True),
        (("bad", "bad", "bad"), 4, False),
        (("run '0' is bad", "run '1' is bad", "run '2' is bad"), 2, True),
        (("bad", "worse", "bad"), 2, False),
        (("", "bad", "bad", "bad"), 2, True),  # one that was done once kept the others going for ever
        (("bad", "bad", "bad", ""), 2, False),
        (("", "", ""), 2, False),
        ((f"The loss became nan after 4 clips of this epoch: {DIVERGED}. Lower --lr.",) * 3, 2, False),
    ],
)
def test_the_last_ones_must_fail_for_one_reason_that_is_no_matter_of_chance(
    ended: tuple[str, ...], rows: int, says: bool
) -> None:
    assert would_all_fail(dict(zip("0123", ended, strict=False)), rows) is says
