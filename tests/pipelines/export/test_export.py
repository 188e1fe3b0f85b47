"""Exported files, read back by onnxruntime and `torch.export.load`, give the model's numbers at sizes of their own."""

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from specvid import __version__, cli, create_model, list_blocks
from specvid.models.blocks import create_block
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.video_model import VideoModel
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.export import formats
from specvid.pipelines.export.axes import axes_of
from specvid.pipelines.export.job import export_model

OPTIONS = {"spectral": {"function": torch.exp}}
QUICK = ("snl", "nl")
FORMATS = {"onnx": ".onnx", "torch-export": ".pt2"}
SMALL = {"frames": 4, "height": 16, "width": 24}


def tiny(block: str = "snl") -> VideoModel:
    """r3d_tiny with ``block``, as published, in its last stage; a function is no text, so it is put in by hand."""
    torch.manual_seed(0)
    model = create_model("r3d_tiny", blocks="snl@layer2.-1", num_classes=3).eval()
    (inserted,) = [module for module in model.modules() if isinstance(module, InsertedBlock)]
    published = {"gate": 1.0} if block in list_blocks("nonlocal") else {"identity": False}
    inserted.block = create_block(block, 64, **published, **OPTIONS.get(block, {})).eval()
    return model


def read(path: Path) -> tuple[Callable[..., Tensor], dict]:
    """What runs a file, and what it says of itself, without specvid."""
    if path.suffix == ".pt2":
        files = {"specvid.json": ""}
        return torch.export.load(path, extra_files=files).module(), json.loads(files["specvid.json"])
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(*inputs: Tensor) -> Tensor:
        (y,) = session.run(None, dict(zip(names, (value.numpy() for value in inputs), strict=True)))
        return torch.from_numpy(y)

    return run, json.loads(session.get_modelmeta().custom_metadata_map["specvid"])


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize(
    "block", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in list_blocks()]
)
def test_every_block_at_any_size(block: str, to: str, tmp_path: Path) -> None:
    model, path = tiny(block), tmp_path / f"model{FORMATS[to]}"
    done = export_model(model, path, to=to, classes=["a", "b", "c"], **SMALL)
    assert done.axes.fixed == {}
    assert [comparison.sizes for comparison in done.comparisons] == [
        (2, 3, 4, 16, 24),
        (1, 3, 4, 16, 24),
        (3, 3, 7, 16, 24),
        (2, 3, 4, 25, 29),
    ]
    run, metadata = read(path)
    for sizes in ((1, 3, 9, 33, 20), (5, 3, done.shortest, 18, 50)):
        clip = torch.randn(sizes)
        with torch.no_grad():
            wanted = model(clip)
            torch.testing.assert_close(run(clip), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
    assert metadata["specvid"] == __version__
    assert (metadata["axes"], metadata["output"], metadata["classes"]) == (
        ["batch", 3, "time", "height", "width"],
        "logits",
        ["a", "b", "c"],
    )
    assert (metadata["model"], metadata["input"]["mean"]) == (model.config, list(model.input.mean))
    assert list(tmp_path.iterdir()) == [path]


def test_a_mask_is_an_input_of_a_network_that_shortens_clips(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    model, path = tiny(), tmp_path / "masked.onnx"
    done = export_model(model, path, mask=True, feature="embedding", **SMALL)
    assert done.axes.fixed == {}
    run, metadata = read(path)
    clip, mask = torch.randn(2, 3, 9, 20, 16), torch.ones(2, 9, dtype=torch.bool)
    mask[1, 4:] = False
    with torch.no_grad():
        torch.testing.assert_close(run(clip, mask), model.embed(clip, mask), rtol=1e-4, atol=1e-6)
        assert not torch.allclose(run(clip, mask)[1], model.embed(clip)[1], rtol=1e-3)
    assert metadata["inputs"] == ["clip", "mask"]
    assert "mask: bool (batch, time)" in done.text()


@pytest.mark.slow
@pytest.mark.parametrize("to", FORMATS)
def test_an_image_network_with_blocks_and_masks(to: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    blocks = "snl(gate=1.0)@features.13, cc(gate=1.0)@features.16"
    model = create_model("mobilenet_v2", blocks=blocks, embedding_dim=8).eval()
    path = tmp_path / f"frames{FORMATS[to]}"
    done = export_model(model, path, to=to, mask=True, frames=3, height=64, width=48)
    assert done.axes.fixed == {}
    run, _ = read(path)
    clip, mask = torch.randn(3, 3, 5, 80, 40), torch.ones(3, 5, dtype=torch.bool)
    mask[0, 2:] = False
    with torch.no_grad():
        wanted = model.embed(clip, mask)
        torch.testing.assert_close(run(clip, mask), wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("to", FORMATS)
def test_a_transformer_keeps_the_size_it_was_built_for(to: str, tmp_path: Path) -> None:
    model = create_model("mvit_v2_s", frames=4, size=32, blocks="snl(gate=1.0)@blocks.14", num_classes=3).eval()
    path = tmp_path / f"mvit{FORMATS[to]}"
    done = export_model(model, path, to=to)
    assert done.axes.dynamic == ["batch"]
    assert "the network was built for it (frames=...)" in done.axes.fixed["time"]
    run, metadata = read(path)
    assert metadata["axes"] == ["batch", 3, 4, 32, 32]
    clip = torch.randn(5, 3, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(run(clip), model(clip), rtol=1e-3, atol=1e-5)


class Stubborn(nn.Module):
    """Pooling that has a weight for each of a fixed number of steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(steps))

    def forward(self, x_bdthw: Tensor, mask_bt: Tensor | None = None) -> Tensor:
        return (x_bdthw.mean((3, 4)) * self.weight).sum(2)


def test_an_axis_that_cannot_vary_is_fixed_and_says_why(tmp_path: Path) -> None:
    model = tiny()
    model.pool = Stubborn(2)
    done = export_model(model, tmp_path / "model.pt2", to="torch-export", **SMALL)
    assert done.axes.dynamic == ["batch", "height", "width"]
    assert done.metadata["axes"] == ["batch", 3, 4, "height", "width"]
    assert "time: always 4, because " in done.text()
    run, _ = read(done.path)
    clip = torch.randn(3, 3, 4, 20, 30)
    with torch.no_grad():
        torch.testing.assert_close(run(clip), model(clip), rtol=1e-4, atol=1e-6)


def test_one_frame_is_captured_as_one(tmp_path: Path, capfd) -> None:
    """PyTorch warned of it, and the file said that the network computes with this very number."""
    done = export_model(create_model("osnet_x0_25"), tmp_path / "x.onnx", frames=1, height=64, width=32)
    assert done.axes.dynamic == ["batch", "height", "width"]
    assert "time: always 1, because a graph of one frame holds for one alone (--frames 2, or more, " in done.text()
    assert capfd.readouterr().err == ""


def test_a_size_the_network_was_built_for_is_fixed_from_the_start() -> None:
    model = tiny()
    model.fixed = {"size": "img_size"}
    axes = axes_of(model, frames=5, height=None, width=None)
    assert (axes.dynamic, axes.sizes) == (["batch", "time"], (2, 3, 5, 40, 40))
    assert list(axes.probes().values()) == [(2, 3, 5, 40, 40), (1, 3, 5, 40, 40), (3, 3, 8, 40, 40)]
    assert axes.lines(3)[:3] == [
        "batch: may vary",
        "time: may vary, from 3 frames up",
        "height: always 40, because the network was built for it (img_size=...)",
    ]


def test_other_numbers_than_the_models_are_an_error_and_leave_no_file(tmp_path: Path, monkeypatch) -> None:
    model, path = tiny(), tmp_path / "model.pt2"

    def writes_another(program, path, **kwargs):
        runner = formats.write_torch_export(program, path, **kwargs)
        return lambda inputs: runner(inputs) * 1.001

    path.write_text("what stood there")
    monkeypatch.setitem(formats.WRITERS, "torch-export", writes_another)
    with pytest.raises(ValueError, match=r"other numbers than the model: they deviate by 1\.0e-03 .* 2 x 3 x 4 x 16"):
        export_model(model, path, to="torch-export", **SMALL)
    assert path.read_text() == "what stood there"
    assert list(tmp_path.iterdir()) == [path]


def test_weights_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    model = tiny()
    with torch.no_grad():
        next(model.backbone.parameters())[0] = torch.nan
    with pytest.raises(ValueError, match=r"the network's weights are not finite, e\.g\. \S+"):
        export_model(model, tmp_path / "it.onnx", **SMALL)
    assert not list(tmp_path.iterdir())


def test_a_run_is_exported_with_its_classes(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, run = create_model("r3d_tiny", blocks="snl(gate=1.0)@layer2.-1", num_classes=2).eval(), RunFolder("runs/one")
    run.start({"task": "action"})
    run.save("last", model, {"model": model.config, "classes": ["jump", "run"]})
    assert cli.run(shlex.split("export runs/one --to torch-export --frames 4 --height 16 --width 16")) == 0
    out = capsys.readouterr().out
    assert out.startswith("one.pt2 (")
    assert "time: may vary" in out
    assert "logits: float32 (batch, 2)" in out
    program, metadata = read(Path("one.pt2"))
    assert metadata["classes"] == ["jump", "run"]
    clip = torch.randn(1, 3, 6, 20, 20)
    with torch.no_grad():
        torch.testing.assert_close(program(clip), model(clip), rtol=1e-4, atol=1e-6)
    feed = [line.strip() for line in out.splitlines() if "program" in line]
    names = {"torch": torch, "json": json, "clip": clip}
    exec("\n".join(feed), names)  # what it prints is what works
    assert names["metadata"] == metadata
    assert torch.equal(names["logits"], program(clip))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("export", r"no model is given: name a trained RUN, or --model NAME"),
        ("export nowhere", r"run 'nowhere' is no folder of a run"),
        ("export runs/x --model r3d_tiny", r"run 'runs/x' and model 'r3d_tiny' exclude each other"),
        ("export --model r3d_tiny --frames 0", r"frames 0 must be at least 1"),
        (
            "export --model osnet_x0_25 --height 1 --width 1",
            r"'osnet_x0_25' cannot take clips of \d+ frames? of 1 x 1 px \(.*Output size is too small\)\. Give other",
        ),
        ("export --model r3d_tiny --out x.pt", r"out 'x.pt' must end with .onnx"),
        ("export --model r3d_tny --to torch-export", r"backbone 'r3d_tny' is unknown. Did you mean 'r3d_tiny'"),
        ("export --model r3d_tiny --feature logits", r"model 'r3d_tiny' needs a classifier"),
        ("export --model r3d_tiny --to onxx", r"--to 'onxx' is unknown. Did you mean 'onnx'\?"),
    ],
)
def test_mistakes_are_one_clear_line(line: str, says: str, capsys, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPECVID_DEBUG", raising=False)
    assert cli.run(shlex.split(line)) == 2
    *notes, err = capsys.readouterr().err.splitlines()
    assert notes in ([], ["no weights are given: those of seed 0 are exported"])
    assert err.startswith("specvid: ")
    assert re.search(says, err), err
    assert list(tmp_path.iterdir()) == []


def test_the_command_that_installs_what_is_missing(monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert cli.run(["export", "--model", "r3d_tiny", "--out", str(tmp_path / "x.onnx")]) == 2
    assert "format 'onnx' needs onnxscript" in (message := capsys.readouterr().err)
    assert "pip install 'specvid[export]'" in message


@pytest.mark.parametrize("to", FORMATS)
def test_preprocessing_in_the_graph(to: str, tmp_path: Path) -> None:
    """Bytes in, the model's own numbers out, at sizes of their own; with a mask too."""
    model, path = tiny(), tmp_path / f"model{FORMATS[to]}"
    export_model(model, path, to=to, mask=True, with_preprocessing=True, **SMALL)
    run, metadata = read(path)
    assert metadata["axes"] == ["batch", "time", "height", "width", 3]
    assert metadata["inputs"] == ["frames", "mask"]
    given = metadata["input"]
    assert (given["dtype"], given["order"]) == ("uint8", "batch, time, height, width, channels")
    assert "INTER_LINEAR" in given["interpolation"] and given["crop"].startswith("centre")
    frames = torch.randint(256, (1, 6, *model.input.crop, 3), dtype=torch.uint8)
    model.input = model.input.override({"resize": model.input.crop})
    with torch.no_grad():
        wanted = model(model.preprocess(frames[0]))
    result = run(frames, torch.ones(1, 6, dtype=torch.bool))
    torch.testing.assert_close(result, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.parametrize("to", FORMATS)
def test_half(to: str, tmp_path: Path) -> None:
    model = tiny()
    export_model(model, tmp_path / f"whole{FORMATS[to]}", to=to, **SMALL)
    export_model(model, tmp_path / f"half{FORMATS[to]}", to=to, half=True, **SMALL)
    sizes = [(tmp_path / f"{name}{FORMATS[to]}").stat().st_size for name in ("whole", "half")]
    assert sizes[0] - sizes[1] > 1.8 * sum(
        parameter.numel() for parameter in model.parameters()
    )  # 2 bytes of 4 for each
    run, metadata = read(tmp_path / f"half{FORMATS[to]}")
    assert (metadata["precision"], metadata["tolerance"]) == ("float16", 2e-2)
    clip = torch.randn(1, 3, 6, 24, 24)
    with torch.no_grad():
        wanted = model(clip)
    result = run(clip)
    assert result.dtype == torch.float32
    assert 0 < (result - wanted).abs().max() < 2e-2 * wanted.abs().max()


def test_numbers_that_float16_does_not_hold(tmp_path: Path) -> None:
    model = create_model("r3d_tiny", num_classes=3).eval()
    with torch.no_grad():
        model.head.classifier.weight.fill_(1e-9)
        model.head.classifier.bias.zero_()
    with pytest.raises(ValueError, match=r"It was thrown away\. Float16 does not hold its numbers: leave half out"):
        export_model(model, tmp_path / "x.pt2", to="torch-export", half=True, **SMALL)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("backbone", "blocks", "preprocessing", "size"),
    [
        ("resnet18", "", True, (64, 32)),
        ("osnet_x0_25", "snl(gate=0.5)@conv3.-1, se@conv2.-1", False, (256, 128)),  # what trackers feed
        pytest.param("osnet_x0_25", "", False, (256, 128), marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", "", False, (64, 32), marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", "nl(gate=0.5)@features.13", True, (256, 128), marks=pytest.mark.slow),
        pytest.param("resnet50", "", False, (64, 32), marks=pytest.mark.slow),
        pytest.param("resnet50", "snl(gate=0.5)@layer2.-1, snl@layer3.1", False, (256, 128), marks=pytest.mark.slow),
    ],
)
def test_a_re_identifier_as_trackers_load_it(
    backbone: str, blocks: str, preprocessing: bool, size: tuple[int, int], tmp_path: Path
) -> None:
    """Single images in, embeddings of unit length out, equal to those of clips of one frame; any batch, one size."""
    torch.manual_seed(0)
    takes = {"frames": 4, "stride": 1, "size": size, "resize": size}
    model = create_model(backbone, blocks=blocks, num_classes=5, neck="bnneck", input=takes).eval()
    options = {"images": True, "l2": True, "fix_size": True, "with_preprocessing": preprocessing}
    done = export_model(model, tmp_path / "reid.onnx", **options)
    assert done.axes.dynamic == ["batch"]
    assert "of unit length" in done.text() and "time" not in done.text().split("deviates")[0]
    run, metadata = read(tmp_path / "reid.onnx")
    shape = ["batch", *size, 3] if preprocessing else ["batch", 3, *size]
    assert (metadata["axes"], metadata["l2"], metadata["output"]) == (shape, True, "embedding")
    for batch in (1, 5):
        if preprocessing:
            images = torch.randint(256, (batch, *size, 3), dtype=torch.uint8)
            clips = torch.cat([model.preprocess(image[None].numpy()) for image in images])
        else:
            images = torch.randn(batch, 3, *size)
            clips = images[:, :, None]
        with torch.no_grad():
            wanted = nn.functional.normalize(model.embed(clips), dim=1)
        torch.testing.assert_close(run(images), wanted, rtol=0, atol=1e-4)


def test_one_batch_size_and_one_size(tmp_path: Path) -> None:
    model = create_model("r3d_tiny").eval()
    done = export_model(model, tmp_path / "it.onnx", batch=3, fix_size=True, **SMALL)
    assert done.metadata["axes"] == [3, 3, "time", 16, 24]
    assert (done.metadata["input"]["size"], done.metadata["input"]["resize"]) == ([16, 24], 24)  # 40, 40 of its own
    assert done.axes.fixed == {"batch": "--batch says so", **dict.fromkeys(("height", "width"), "--fix-size says so")}
    run, _ = read(tmp_path / "it.onnx")
    clips = torch.randn(3, 3, 6, 16, 24)
    torch.testing.assert_close(run(clips), model.embed(clips).detach(), rtol=0, atol=1e-4)


def test_what_images_do_not_go_with(tmp_path: Path, capsys) -> None:
    words = ["export", "--model", "r3d_tiny", "--out", str(tmp_path / "it.onnx"), "--images"]
    assert cli.run(words) == 2
    assert "images: 'r3d_tiny' is a video network, which takes clips" in capsys.readouterr().err
    assert cli.run([*words, "--mask"]) == 2
    assert "--images takes single ones" in capsys.readouterr().err
    assert cli.run([*words[:-1], "--l2", "--feature", "logits", "--classes", "3"]) == 2
    assert "l2 is for embeddings" in capsys.readouterr().err
