"""`specvid bench model`: one row for the bare backbone, one for each set of blocks, on the same clips."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from specvid.models import create_model
from specvid.models.video_model import VideoModel
from specvid.tools import timing
from specvid.tools.bench import model as tool
from specvid.tools.bench.model import CONTIGUOUS, LAST, Form, StepTime, _lay_out, _other_layout, as_text, bench_model


def test_rows_and_progress() -> None:
    lines: list[str] = []
    blocks = ("snl@layer2", "nl@layer2:2, snl@layer1")
    rows = bench_model("r3d_tiny", blocks, frames=4, size=16, steps=3, num_classes=7, status=lines.append)
    assert [row.form.blocks for row in rows] == ["", *blocks]
    for row in rows:
        model = create_model("r3d_tiny", blocks=row.form.blocks, num_classes=7)
        assert row.parameters == sum(parameter.numel() for parameter in model.parameters())
        assert row.seconds > 0
        assert row.quartiles[0] <= row.ratio <= row.quartiles[1]
    assert (rows[0].ratio, rows[0].quartiles) == (1, (1, 1))
    assert len(lines) == 5  # with the two rounds that warm up
    assert lines[-1].startswith("round 3 of 3: ")


def test_frozen_parts_are_rows_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[VideoModel] = []
    real = tool.create_model
    monkeypatch.setattr(tool, "create_model", lambda *args, **options: made.append(real(*args, **options)) or made[-1])
    rows = bench_model("r3d_tiny", ["snl@layer2"], frames=4, size=16, steps=1, freeze=["backbone"])
    assert [(row.form.blocks, row.form.frozen) for row in rows] == [
        ("", ()),
        ("snl@layer2", ()),
        ("", ("backbone",)),
        ("snl@layer2", ("backbone",)),
    ]
    whole, _, probe, _ = made
    assert not torch.equal(whole.backbone.stem[0].weight, probe.backbone.stem[0].weight)  # one was trained
    assert torch.equal(probe.backbone.stem[0].weight, make_backbone_like(probe).stem[0].weight)
    assert "snl@layer2, frozen: backbone" in as_text(rows)
    with pytest.raises(ValueError, match="freeze is for training steps"):
        bench_model("r3d_tiny", freeze=["backbone"], embed=True)


def test_frames_may_be_higher_than_wide() -> None:
    shapes = []
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, args: shapes.append(tuple(args[0].shape)) if isinstance(module, VideoModel) else None
    )
    bench_model("r3d_tiny", [], frames=4, size=(32, 16), batch=1, steps=1)
    hook.remove()
    assert set(shapes) == {(1, 3, 4, 32, 16)}
    for size in ((), (1, 2, 3), (16, 0)):
        with pytest.raises(ValueError, match="is no frame"):
            bench_model("r3d_tiny", size=size)


def make_backbone_like(model: VideoModel) -> torch.nn.Module:
    """The backbone as it was before any step."""
    torch.manual_seed(0)
    return create_model("r3d_tiny", num_classes=model.num_classes).backbone


def test_embedding_in_another_memory_format_and_precision() -> None:
    sizes = {"frames": 4, "size": 16, "steps": 1}
    rows = bench_model("r3d_tiny", ["snl@layer2"], **sizes, embed=True, channels_last=True, precision="bf16")
    assert [str(row.form) for row in rows] == [
        "(bare)",
        "snl@layer2",
        "(bare), contiguous",
        "snl@layer2, contiguous",
        "(bare), folded",
        "snl@layer2, folded",
        "(bare), folded, contiguous",
        "snl@layer2, folded, contiguous",
    ]
    bare, row, _, _, folded_bare, folded, _, _ = rows
    assert row.clips == pytest.approx(2 / row.seconds)
    assert row.parameters > bare.parameters
    assert folded.parameters > folded_bare.parameters  # the block is still there
    assert "snl@layer2, folded" in as_text(rows)


def test_what_only_a_gpu_has_is_refused() -> None:
    with pytest.raises(ValueError, match="--precision tf32 is for GPUs"):
        bench_model("r3d_tiny", precision="tf32")


def test_the_ratio_is_of_steps_of_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that gets slower and slower: the ratio of the rounds stays what it is."""
    now = [0.0]
    watch = SimpleNamespace(perf_counter=lambda: now[0], process_time=lambda: 0.0)
    monkeypatch.setattr(timing, "time", watch)

    def training_step(network: VideoModel, *rest: object) -> Callable[[], None]:
        durations = iter([7.0, 7.0, 1.0, 10.0, 100.0])  # the first two warm up

        def step() -> None:
            now[0] += next(durations) * (1.5 if network.config["blocks"] else 1)

        return step

    monkeypatch.setattr(tool, "_training_step", training_step)
    _, row = bench_model("r3d_tiny", ["snl@layer2"], steps=3)
    assert (row.seconds, row.ratio, row.quartiles) == (15, 1.5, (1.5, 1.5))


def test_table() -> None:
    rows = [
        StepTime(Form(), 1000, 0.5, 4, 1.0, (1.0, 1.0)),
        StepTime(Form("snl@layer3.-1"), 12345, 0.52, 3.85, 1.03, (1.01, 1.06)),
    ]
    assert as_text(rows).splitlines() == [
        "blocks         parameters  s / step  clips / s   added         quartiles",
        "(bare)              1,000       0.5        4.0",
        "snl@layer3.-1      12,345      0.52        3.9  +3.0 %  +1.0 % to +6.0 %",
    ]


def test_half_precision_is_for_gpus() -> None:
    with pytest.raises(ValueError, match="--precision fp16 is for GPUs"):
        bench_model("r3d_tiny", precision="fp16")


@pytest.mark.parametrize(("name", "layout"), [("r3d_18", LAST), ("r3d_tiny", CONTIGUOUS), ("mobilenet_v2", CONTIGUOUS)])
def test_the_other_layout_is_the_one_that_a_network_is_not_built_in(name: str, layout: str) -> None:
    assert _other_layout(name) == layout
    model = create_model(name)
    _lay_out(model, layout)
    weights = [module.weight for module in model.modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d)]
    assert all(weight.is_contiguous() for weight in weights) == (layout == CONTIGUOUS)


@pytest.mark.slow
def test_an_snl_block_adds_little_to_r3d_18() -> None:
    """The goal is 5 % at 16 x 112 x 112. In CPU time, of which other processes take nothing; with room for noise."""
    _, row = bench_model(batch=1, steps=5, cpu=True)
    assert row.ratio < 1.1


@pytest.mark.slow  # starts processes
def test_memory_of_a_step() -> None:
    sizes = {"frames": 4, "size": 32, "steps": 1, "batch": 8}
    rows = bench_model("r3d_tiny", [], **sizes, freeze=["backbone"], memory=True)
    complete, frozen = (row.mebibytes for row in rows)
    assert complete is not None and frozen is not None
    assert 0 < frozen < complete  # nothing of the backbone is held for the way back
    assert as_text(rows).splitlines()[0].endswith("MiB")
