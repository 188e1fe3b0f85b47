"""The rows of a study are whole, of the same settings, and may come from several processes."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

import specvid
from specvid.pipelines.ablate.statistics import Difference
from specvid.pipelines.engine.block_use import BlockWatch
from specvid.tools.study.rows import Rows, verdict
from specvid.tools.study.trained import require_finite, strongest

COLUMNS = ("arm", "seed", "mAP", "gate")
SETTINGS = {"study": "test", "epochs": 4, "lr": 0.1}
HEADER = "arm,seed,mAP,gate\n"


def row(arm: str, seed: int, value: float = 0.25, gate: Any = None) -> dict[str, Any]:
    return {"arm": arm, "seed": seed, "mAP": value, "gate": gate}


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    return Rows(tmp_path / "new" / "rows.csv", COLUMNS, SETTINGS)


def test_rows_are_added_and_read(rows: Rows) -> None:
    assert rows.missing(["bare", "snl", "bare"], range(2)) == [("bare", 0), ("snl", 0), ("bare", 1), ("snl", 1)]
    rows.add(row("bare", 0))
    rows.add(row("snl(a=1, b=2)", 0, 0.1 + 0.2, -0.5))
    assert rows.path.read_text() == HEADER + 'bare,0,0.25,\n"snl(a=1, b=2)",0,0.30000000000000004,-0.5\n'
    assert float(rows.read()[1]["mAP"]) == 0.1 + 0.2
    assert rows.missing(["bare", "snl(a=1, b=2)"], range(2)) == [("bare", 1), ("snl(a=1, b=2)", 1)]


def test_a_line_that_a_kill_cut_off_is_measured_again(rows: Rows) -> None:
    rows.add(row("bare", 0))
    rows.add(row("bare", 1, 0.75))
    complete = rows.path.read_bytes()
    for size in range(len(complete)):
        rows.path.write_bytes(complete[:size])
        ends = complete[:size].count(b"\n")
        assert len(rows.read()) == max(0, ends - 1)
        for _, seed in rows.missing(["bare"], range(2)):
            rows.add(row("bare", seed, 0.25 + 0.5 * seed))
        assert rows.path.read_bytes() == complete


@pytest.mark.parametrize("line", ["bare,1", "bare,1,0.5,,", "bare,1,nan,", "bare,1,,", "bare,x,0.5,", "bare,1,0.5,inf"])
def test_a_line_that_is_no_row_is_named(rows: Rows, line: str) -> None:
    rows.add(row("bare", 0))
    rows.path.write_text(f"{rows.path.read_text()}{line}\nbare,2,0.5,\n")
    with pytest.raises(ValueError, match=rf"rows\.csv, line 3: '{line}' is no row of arm,seed,mAP,gate .* Remove the"):
        rows.missing(["bare"], range(3))


@pytest.mark.parametrize(("value", "gate"), [(math.nan, 0.1), (0.5, math.inf), (None, 0.1)])
def test_figures_that_are_not_finite_are_not_written(rows: Rows, value: Any, gate: float) -> None:
    with pytest.raises(ValueError, match=r"snl, seed 3: (mAP|gate) is (nan|inf|empty), and must be a finite number\."):
        rows.add(row("snl", 3, value, gate))
    assert not rows.path.exists()


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"a,b\n", b"hello", b"\xff\xfe,1\n", b'arm,"seed\n'])
def test_a_file_of_something_else_is_left(rows: Rows, content: bytes) -> None:
    rows.path.parent.mkdir()
    rows.path.write_bytes(content)
    for use in (rows.read, lambda: rows.missing(["bare"], range(1)), lambda: rows.add(row("bare", 0))):
        with pytest.raises(ValueError, match=r"rows\.csv .* [Gg]ive another --out\."):
            use()
    assert rows.path.read_bytes() == content


def test_rows_of_other_settings_are_refused(rows: Rows) -> None:
    rows.add(row("bare", 0))
    before = rows.path.read_bytes()
    other = Rows(rows.path, COLUMNS, {**SETTINGS, "epochs": 999, "model": "snail"})
    differ = r"epochs is 4 there, and 999 here; model is not known there, and snail here\. Give another --out"
    for use in (other.read, lambda: other.add(row("bare", 1))):
        with pytest.raises(ValueError, match=differ):
            use()
    with pytest.raises(ValueError, match=r"settings: study is test there, and another here\. Give"):
        Rows(rows.path, COLUMNS, {"study": "another", "size": 3}).read()
    assert rows.path.read_bytes() == before and len(Rows(rows.path, COLUMNS, SETTINGS).read()) == 1


def test_rows_of_settings_that_nobody_knows_are_refused(rows: Rows) -> None:
    rows.add(row("bare", 0))
    rows.path.with_suffix(".json").unlink()
    with pytest.raises(ValueError, match=r"rows\.json, which says of which settings they are, is not beside it\."):
        rows.read()
    for empty in ("", HEADER, HEADER + "bare,0,0."):
        rows.path.write_text(empty)
        assert rows.read() == []


def test_settings_without_rows_bind_nobody(rows: Rows) -> None:
    rows.add(row("bare", 0))
    rows.path.unlink()
    other = Rows(rows.path, COLUMNS, {**SETTINGS, "epochs": 5})
    other.add(row("bare", 0))
    assert len(other.read()) == 1
    with pytest.raises(ValueError, match="epochs is 5 there, and 4 here"):
        rows.read()


def test_several_writers_share_a_file(rows: Rows) -> None:
    def write(arm: str) -> None:
        own = Rows(rows.path, COLUMNS, SETTINGS)
        for seed in range(10):
            own.add(row(arm, seed))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "abcd"))
    assert rows.path.read_text().count(HEADER) == 1 and len(rows.read()) == 40
    assert rows.missing("abcd", range(10)) == []


@pytest.mark.parametrize("blocks", ["snl(gate=0.5)@layer2.-1, gc@layer1.end", "gc@layer1.end, snl(gate=0.5)@layer2.-1"])
def test_a_row_is_of_the_block_that_adds_most(blocks: str) -> None:
    model = specvid.create_model("r3d_tiny", blocks=blocks).eval()
    with torch.no_grad(), BlockWatch(model) as watch:
        model.embed(torch.randn(2, 3, 8, 40, 40))
    found = strongest(watch)
    assert (found["gate"], found["gate_max"]) == (0.5, 0.5)
    assert found["share"] == max(use.share or 0 for use in watch.report())
    with torch.no_grad(), BlockWatch(specvid.create_model("r3d_tiny")) as watch:
        assert strongest(watch) == {"gate": None, "gate_max": None, "share": None}


def test_what_a_row_says_about_its_block() -> None:
    ahead = Difference.of([0.02, 0.021, 0.022])
    assert verdict(ahead, [0.0022, 0.002]) == "unused"
    assert verdict(ahead, [0.0022, 0.2]) == "helps"
    assert verdict(None, []) == "-"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_training_that_diverged_is_not_scored(value: float) -> None:
    require_finite(torch.ones(3), "snl", 4)
    with pytest.raises(
        ValueError, match=r"snl, seed 4: what the trained network computes is not finite\. The training"
    ):
        require_finite(torch.tensor([1.0, value]), "snl", 4)
