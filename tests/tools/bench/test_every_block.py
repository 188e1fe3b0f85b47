"""`specvid bench blocks --all`: every block, stage and replacement is in the table, with the figures that it says."""

import csv
import math

import pytest

from specvid.cli import run
from specvid.models.blocks import create_block, list_blocks
from specvid.models.convolutions import list_convolutions
from specvid.models.stages import STAGE_WRAPPERS
from specvid.tools.bench.blocks import every
from specvid.tools.bench.blocks.every import bench_every, every_table


def test_every_block_is_measured() -> None:
    rows = list(bench_every(positions=(98,), channels=16, rounds=1))
    names = [row.name for row in rows]
    assert sorted(names) == sorted([*list_blocks(), *STAGE_WRAPPERS, *list_convolutions(), "conv3d"])
    for row in rows:
        assert not row.skipped
        assert row.forward_ms > 0 and row.train_ms > 0
        assert row.forward_to_floor > 0 and row.train_to_floor > 0
        assert row.parameters > 0
    cells = every_table(rows)
    assert len(cells) == len(names) + 1
    assert {len(line) for line in cells} == {3 + 4}


def test_multiply_adds_and_memory_are_those_of_the_formula() -> None:
    """A convolution of 27 positions keeps its input; `se` has two products with 16 channels, and keeps its input."""
    by_name = {row.name: row for row in bench_every(positions=(98,), channels=16, rounds=1, names=("conv3d", "se"))}
    assert by_name["conv3d"].gmacs == pytest.approx(98 * 16 * 16 * 27 / 1e9)
    assert by_name["se"].gmacs == pytest.approx(2 * 16 * 1 / 1e9)
    assert by_name["conv3d"].mebibytes == pytest.approx(4 * 98 * 16 / 2**20)
    assert by_name["se"].parameters == sum(p.numel() for p in create_block("se", 16).parameters())


def test_a_stage_is_measured_with_three_maps() -> None:
    """Two products of the mean map, 16 x 64 and three times 64 x 16; the maps that are mixed are kept."""
    (row,) = bench_every(positions=(98,), channels=16, rounds=1, names=("sda",))
    assert (row.kind, row.gmacs) == ("stage", pytest.approx(4 * 16 * 64 / 1e9))
    assert row.mebibytes > 3 * 4 * 98 * 16 / 2**20


def test_what_would_not_fit_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(every, "MATRICES", 2**20)
    small, large = bench_every(positions=(98, 392), channels=16, rounds=1, names=("bot",))
    assert small.forward_ms > 0
    assert large.skipped == "needs 0 GiB for its N x N matrices" and math.isnan(large.forward_ms)


def test_the_command(tmp_path, capsys) -> None:
    words = ["bench", "blocks", "--all", "--variants", "gc", "dcd", "--positions", "98", "--channels", "16"]
    assert run([*words, "--batches", "1", "--rounds", "1", "--csv", str(tmp_path / "all.csv")]) == 0
    text = capsys.readouterr().out
    about, _, *table = text.splitlines()
    assert about.startswith("CPU, ") and about.endswith(", fp32")
    assert [line.split()[0] for line in table[:4]][::2] == ["block", "gc"]
    with open(tmp_path / "all.csv", newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["gc", "dcd"]
    assert run([*words, "--batches", "1", "--cpu-time", "--rounds", "1"]) == 0
    assert run(["bench", "blocks", "--cpu-time"]) != 0
    assert "--cpu-time goes with --all" in capsys.readouterr().err
    assert run([*words, "--memory"]) != 0
    assert "--all has its own table" in capsys.readouterr().err
