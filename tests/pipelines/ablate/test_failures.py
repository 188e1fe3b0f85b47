"""When the trainings that failed say that the others will, too."""

import pytest

from specvid.pipelines.ablate.failures import would_all_fail


@pytest.mark.parametrize(
    ("ended", "rows", "says"),
    [
        ({}, 2, False),
        ({"bare-seed0": "bad"}, 1, False),
        ({"bare-seed0": "bad", "bare-seed1": "bad"}, 1, True),
        ({"bare-seed0": "bad", "snl-seed0": "bad"}, 3, False),
        ({"bare-seed0": "run 'bare-seed0' is bad", "snl-seed0": "run 'snl-seed0' is bad"}, 2, True),
        ({"bare-seed0": "bad", "snl-seed0": "worse"}, 2, False),
        ({"bare-seed0": "bad", "snl-seed0": "bad", "bare-seed1": ""}, 2, False),
        ({"bare-seed0": "", "snl-seed0": ""}, 2, False),
    ],
)
def test_as_many_as_a_seed_has_must_fail_for_one_reason(ended: dict[str, str], rows: int, says: bool) -> None:
    assert would_all_fail(ended, rows) is says
