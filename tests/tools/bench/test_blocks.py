"""`specvid bench blocks`: every variant is what it is called, every size is there or reported as left out."""

import csv
import dataclasses
import math

import pytest
import torch

from specvid.cli import run
from specvid.models.blocks import create_block
from specvid.models.blocks.norms import Shift
from specvid.models.blocks.pointwise import Pointwise
from specvid.tools.bench.blocks.memory import BlockMemory, bench_memory
from specvid.tools.bench.blocks.tables import auto_choices, auto_table, left_out_lines, slope, time_tables, write_csv
from specvid.tools.bench.blocks.times import BlockTime, bench_blocks
from specvid.tools.bench.blocks.variants import VARIANTS, Floor, PublishedSNL, left_out, make
from specvid.tools.bench.gpu import computing_in


def test_only_a_gpu_has_graphs_and_tf32() -> None:
    for given, message in (({"graphs": True}, "--graphs is for GPUs"), ({"precision": "tf32"}, "tf32 is for GPUs")):
        with pytest.raises(ValueError, match=message):
            next(bench_blocks(**given))


def test_the_switch_of_tf32_is_put_back() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with computing_in("fp32"):
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == ("highest", False)
        with computing_in("bf16"):
            assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == ("high", True)
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


@pytest.mark.gpu
@pytest.mark.parametrize("options", [{"graphs": True, "precision": "bf16", "channels_last": True}, {}], ids=str)
def test_on_a_gpu(options: dict) -> None:
    sizes = {"positions": (784,), "channels": (64,), "batches": (2,), "rounds": 2}
    rows = list(bench_blocks(**sizes, variants=("snl-auto", "nl-attention"), device="cuda", **options))
    assert [row.variant for row in rows] == ["floor", "snl-auto", "nl-attention"]
    assert all(0 < row.forward_ms < row.train_ms for row in rows)


def test_the_published_form_equals_our_block() -> None:
    torch.manual_seed(0)
    published, ours = PublishedSNL(16).eval().double(), create_block("snl", 16, gate=1.0).eval().double()
    (unit,) = ours.units
    pairs = {"theta": ours.affinity.theta, "phi": ours.affinity.phi, "g": unit.g}
    pairs |= {"w_1": unit.weights[0], "w_2": unit.weights[1]}
    for name, module in pairs.items():
        module.weight.data.copy_(getattr(published, name).weight.flatten(2))
    x = torch.randn(2, 16, 3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(ours(x), published(x), rtol=1e-12, atol=1e-12)


def test_the_floor_has_the_convolutions_of_snl() -> None:
    def shapes(module: torch.nn.Module) -> list:
        return sorted(tuple(part.weight.shape) for part in module.modules() if isinstance(part, Pointwise))

    assert shapes(Floor(16)) == shapes(create_block("snl", 16))


def test_a_run_prints_writes_and_says_what_is_left_out(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.csv"
    words = ["--positions", "98", "392", "--channels", "8", "--batches", "1", "--rounds", "1", "--csv", str(file)]
    variants = ["snl-auto", "snl-linear", "snl-dense", "snl-folded", "nl-attention", "convolutions", "snl-products"]
    assert run(["bench", "blocks", *words, "--variants", *variants]) == 0
    text = capsys.readouterr().out
    assert "forward + backward, C = 8, B = 1: ms (times the floor)" in text
    assert f"PyTorch {torch.__version__}, fp32\n" in text
    assert "N = 98" in text and "N = 392" in text
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["variant"], row["positions"]) for row in rows] == [
        (variant, size) for size in ("98", "392") for variant in ("floor", *variants)
    ]
    forward_only = {row["variant"] for row in rows if row["train_ms"] == "nan"}
    assert forward_only == {"snl-folded", "convolutions", "snl-products"}
    assert all(float(row["forward_ms"]) > 0 for row in rows)
    forward, train = text.split("\nforward + backward")
    assert "snl-folded" in forward.split("times the floor")[1] and "snl-folded" not in train


def test_what_is_timed_for_inference_is_the_folded_block() -> None:
    torch.manual_seed(0)
    folded = make("snl-folded", 16)
    torch.manual_seed(0)
    block = make("snl-auto", 16)
    assert isinstance(folded.units[0].norm, Shift)
    x = torch.randn(2, 16, 3, 4, 5)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), block.eval()(x))


def test_the_products_are_those_of_the_block() -> None:
    """Without ReLU, degrees and norm: W_0 Z + W_1 Z F^T F."""
    products = make("snl-products", 6).double()
    x = torch.randn(2, 6, 1, 3, 4, dtype=torch.float64)
    factor, z = products.inward(x.flatten(2)).split((6, 3), dim=1)
    wanted = products.w_0 @ z + products.w_1 @ (z @ factor.mT @ factor)
    torch.testing.assert_close(products(x), wanted.reshape(x.shape))


def test_limits() -> None:
    assert left_out("snl-published", 50176, 512, 1) == "needs 38 GiB for its N x N matrices"
    assert left_out("snl-published", 12544, 512, 1) is None
    assert left_out("nl-attention", 50176, 512, 1) is None
    assert left_out("nl-attention", 50176, 1024, 1) == "takes minutes a step"
    assert left_out("snl-linear", 50176, 1024, 4) is None
    row = BlockTime("nl-dense", 50176, 512, 1, "fp32", "cpu", skipped="too large")
    assert left_out_lines([row]) == ["left out: nl-dense at N 50,176 C 512 B 1: too large"]
    ((_, table), _) = time_tables([row])
    assert table[1] == ["nl-dense", "-"]


def row(variant: str, n: int, ms: float) -> BlockTime:
    return BlockTime(variant, n, 512, 1, "fp32", "cpu", False, ms, 1.0, 3 * ms, 1.0, (5, 5))


def test_slope_counts_from_784_up() -> None:
    rows = [row("a", 98, 77.0)] + [row("a", n, n**2 / 1e6) for n in (784, 3136, 12544)]
    assert slope(rows, "a", 512, 1) == pytest.approx(2)
    assert math.isnan(slope(rows[:2], "a", 512, 1))


def test_one_size_has_no_slope() -> None:
    for sizes in ([784], [98, 784]):
        assert not any("slope" in heading for _, (heading, *_) in time_tables([row("a", n, 1.0) for n in sizes]))
    assert "slope" in time_tables([row("a", n, 1.0) for n in (784, 3136)])[1][1][0]


def test_what_auto_takes_is_compared_with_the_better_form() -> None:
    rows = [row("snl-auto", 98, 9.0), row("snl-linear", 98, 2.0), row("snl-dense", 98, 1.0)]
    rows += [row("snl-auto", 784, 9.0), row("snl-linear", 784, 2.0), row("snl-dense", 784, 1.6)]
    assert [found[1] for found in auto_choices(rows)] == ["dense", "linear"]
    assert [found[2:] for found in auto_choices(rows)] == [(1, 1), (pytest.approx(1.25), pytest.approx(1.25))]
    assert auto_table(rows)[2] == ["512", "1", "784", "linear", "1.25", "1.25"]


def test_unknown_sizes_and_variants() -> None:
    with pytest.raises(ValueError, match="positions=100 is not a size"):
        next(bench_blocks(positions=(100,)))
    with pytest.raises(ValueError, match="variant 'snl' is unknown"):
        next(bench_blocks(variants=("snl",)))


def test_csv_keeps_what_was_not_measured(tmp_path) -> None:
    write_csv([BlockTime("nl-dense", 50176, 512, 1, "fp32", "cpu", skipped="too large")], tmp_path / "x.csv")
    header, line = (tmp_path / "x.csv").read_text().splitlines()
    assert header.split(",") == [field.name for field in dataclasses.fields(BlockTime)]
    assert line == "nl-dense,50176,512,1,fp32,cpu,False,nan,nan,nan,nan,0 0,too large"
    write_csv([BlockMemory("floor", 98, 512, 4, 12.3456)], tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text().splitlines()[1] == "floor,98,512,4,12.35"
    assert "nl-dense" in VARIANTS


def test_memory_has_a_table_for_each_size(capfd: pytest.CaptureFixture[str]) -> None:
    words = "bench blocks --memory --positions 98 392 --channels 512 --batches 1 4 --variants floor snl-auto"
    assert run(words.split()) == 0
    text = capfd.readouterr().out
    assert "C = 512, B = 1: MiB" in text
    assert "C = 512, B = 4: MiB" in text
    assert sum(line.startswith("snl-auto") for line in text.splitlines()) == 2
    for idle in (["--precision", "bf16"], ["--channels-last"], ["--rounds", "9"]):
        assert run(["bench", "blocks", "--memory", *idle]) == 2
        assert f"leave out {idle[0]}" in capfd.readouterr().err


@pytest.mark.slow
def test_memory_is_linear_in_n() -> None:
    """Between N = 3,136 and 12,544, above what the input takes: four times, not sixteen. Attention never holds half of
    one N x N matrix (600 MiB)."""
    sizes, variants = (3136, 12544), ("snl-linear", "snl-published", "nl-attention")
    rows = bench_memory(positions=sizes, channels=(256,), batches=(1,), variants=variants)
    peaks = {(peak.variant, peak.positions): peak.mebibytes for peak in rows}
    assert peaks["snl-linear", 12544] < 5 * peaks["snl-linear", 3136]
    assert peaks["snl-published", 12544] > 8 * peaks["snl-published", 3136]
    assert peaks["nl-attention", 12544] < 300
