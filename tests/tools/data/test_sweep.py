"""Hundreds of damaged and unusual videos: what PyAV decodes is read, nothing hangs, dies, moves or repeats silently."""

import pytest
from shared_data import shared

from specvid.tools.data.sweep import as_table, main, sweep
from specvid.tools.data.variants import Variant, make_variants

REAL = (
    "Archery/v_Archery_g05_c04",
    "BabyCrawling/v_BabyCrawling_g04_c01",
    "BasketballDunk/v_BasketballDunk_g07_c02",
    "PushUps/v_PushUps_g16_c04",
)


def test_a_file_that_hangs_costs_itself(tmp_path):
    variants = [Variant(tmp_path / f"{name}.avi", "missing", 10) for name in ("a", "b")]
    outcomes = sweep(variants, timeout=0.0)
    assert [outcome.faults for outcome in outcomes] == [["hangs"], ["hangs"]]
    assert as_table(variants, outcomes).splitlines()[-1] == "| all | 2 | 2 | 0 | 0 | 2 | 0 | 2 |"
    (found,) = sweep(variants[:1])
    assert "no such file" in found.error and not found.faults and found.share == 0


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("seed", [0, 1])
def test_every_variant(tmp_path, seed):
    clips = [shared("data/ucf101-raw/videos") / f"{name}.avi" for name in REAL]
    clips.append(shared("data/odd/video") / "v_HorseRace_g07_c03.avi")
    variants = make_variants(clips, tmp_path, seed=seed)
    outcomes = sweep(variants)
    print(as_table(variants, outcomes))
    assert len(variants) >= 300
    assert not [(v.path.name, o.faults) for v, o in zip(variants, outcomes, strict=True) if o.faults]
    complete = [outcome for outcome in outcomes if outcome.share >= 0.95]
    assert sum(not outcome.error for outcome in complete) >= 0.99 * len(complete) > 250


@pytest.mark.slow
def test_the_command(tmp_path, capsys):
    from synthetic_videos import write_numbered

    assert main([str(write_numbered(tmp_path, count=40)), "--out", str(tmp_path / "out")]) == 0
    assert "| container x codec |" in capsys.readouterr().out
