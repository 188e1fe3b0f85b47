"""Optical flow and differences of frames in every verb that reads clips, from training to export."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from checksums import sha256
from tiny_motion import DIRECTIONS, synthesize_tiny_motion

import specvid
from specvid import cli
from specvid.datasets.clips.motion import open_clips
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import test_transform as views_of
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import Rows
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.export.job import export_model
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.networks.opening import open_network

QUICK = "--frames 4 --stride 1 --size 32 --resize 36 --batch-size 8 --workers 0 --device cpu --no-tensorboard --flip 0"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize_tiny_motion(tmp_path_factory.mktemp("data") / "motion")


def train(data: Path, runs: Path, name: str, *words: str) -> RunFolder:
    command = f"train action --data {data} --dataset folders --model r3d_tiny --runs {runs} --name {name} {QUICK}"
    assert cli.run([*command.split(), *words]) == 0
    return RunFolder(runs / name)


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    folder = tmp_path_factory.mktemp("runs")
    settings = {"rgb": "1", "rgb-diff": "1", "flow": "10"}
    return {
        name: train(data, folder, name, "--modality", name, "--epochs", epochs) for name, epochs in settings.items()
    }


@pytest.fixture
def clip(data: Path) -> Path:
    return data / "test" / "left" / "00"


def test_flow_learns_what_only_motion_tells(runs: dict[str, RunFolder]) -> None:
    (entry,) = runs["flow"].results()["evaluations"]
    assert entry["top1"] == 1.0 and entry["modality"] == "flow"
    meta = json.loads((runs["flow"].path / "last" / "meta.json").read_text())
    assert meta["input"]["modality"] == meta["model"]["input"]["modality"] == "flow"
    assert meta["input"]["mean"] == [0.5, 0.5]
    assert "modality" not in runs["rgb"].results()["evaluations"][0]
    difference = json.loads((runs["rgb-diff"].path / "last" / "meta.json").read_text())
    own = specvid.create_model("r3d_tiny").input.std
    assert difference["input"]["std"] == [number / 2 for number in own]


def test_two_streams(runs: dict[str, RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(runs[name].path) for name in ("rgb", "flow", "rgb-diff")]
    quick = f"--clips 1 --device cpu --workers 0 --out {tmp_path}/fused"
    assert cli.run(["eval", "action", "--run", *folders, "--fuse", "mean", *quick.split()]) == 0
    text = capsys.readouterr().out
    assert "1 clip x 1 crop of flow" in text and "1 clip x 1 crop of rgb-diff" in text
    assert "bilinear, mean of 3 runs, 12 of 12 clips scored" in text
    tables = [Path(folder) / "eval" / "split1-last-1x1" for folder in (*folders, tmp_path / "fused")]
    *single, fused = ([float(row["p_class"]) for row in csv.DictReader((t / "clips.csv").open())] for t in tables)
    assert np.abs(np.mean(single, axis=0) - fused).max() < 2e-6


def test_it_continues_bit_for_bit(data: Path, runs: dict[str, RunFolder], tmp_path: Path) -> None:
    words = ("--modality", "flow", "--epochs", "10")
    train(data, tmp_path, "flow", *words, "--max-steps", "8")
    train(data, tmp_path, "flow", *words, "--resume", "auto")
    one, two = (folder / "flow" / "last" / "model.safetensors" for folder in (runs["flow"].path.parent, tmp_path))
    assert sha256(one) == sha256(two)


def test_predict_and_the_methods_of_a_model(
    runs: dict[str, RunFolder], clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runs["flow"].path
    words = f"predict {clip} --run {run} --clips 2 --top 4 --json --device cpu --workers 0"
    assert cli.run(words.split()) == 0
    classes = dict(json.loads(capsys.readouterr().out)["classes"])
    assert max(classes, key=lambda name: classes[name]) == "left" and set(classes) == set(DIRECTIONS)
    model = specvid.load(run)
    with specvid.open_video(clip) as video:
        frames = video.frames(range(len(video)))
    for source in (clip, frames):
        assert dict(model.predict(source, clips=2)) == pytest.approx(classes, abs=1e-5)
    spec = ClipSpec.of(model.input)
    with open_clips(clip, spec) as video:
        assert torch.equal(model.preprocess(frames), views_of(spec)(video.frames(range(5))))
    assert model.preprocess(frames).shape == (1, 2, 5, 32, 32)
    with pytest.raises(ValueError, match="has one frame: motion takes two"):
        model.preprocess(frames[:1])


def test_embed_and_search(
    data: Path, runs: dict[str, RunFolder], clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"embed {data}/test --run {runs['flow'].path} --out {tmp_path}/emb --device cpu --workers 0"
    assert cli.run([*words.split(), "--window", "sliding", "--length", "4"]) == 0
    rows = Rows(Folder(tmp_path / "emb"))
    of_clip = [row for row in rows.take(list(range(len(rows)))) if row["path"] == str(clip)]
    assert [(row["first_frame"], row["last_frame"]) for row in of_clip] == [(0, 3), (1, 4)]
    one = f"embed {clip} --run {runs['flow'].path} --out {tmp_path}/one --device cpu --workers 0"
    assert cli.run(one.split()) == 0
    (row,) = Rows(Folder(tmp_path / "one")).take([0], ["embedding"])
    own = specvid.load(runs["flow"].path).embed_video(clip)
    assert np.allclose(row["embedding"], own.numpy(), atol=1e-5)
    copy = shutil.copytree(clip, tmp_path / "copy")  # a file, not the id of a row
    capsys.readouterr()
    assert cli.run(f"search query {tmp_path}/one {copy} --json --device cpu".split()) == 0
    assert json.loads(capsys.readouterr().out)[0]["score"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("preprocessing", [False, True])
def test_export(runs: dict[str, RunFolder], clip: Path, preprocessing: bool, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = specvid.load(runs["flow"].path)
    done = export_model(model, tmp_path / "flow.onnx", with_preprocessing=preprocessing, classes=model.classes or ())
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["specvid"])
    assert metadata["input"]["modality"] == "flow" and "round((v + 20) * 255 / 40)" in metadata["input"]["channels"]
    assert "optical flow" in done.text()
    with open_clips(clip, ClipSpec.of(model.input, decoder="pyav")) as video:
        flow = video.frames(range(4))[:, :32, :32]
    x = views_of(ClipSpec(4, 1, 32, 32, model.input.mean, model.input.std, modality="flow"))(flow)
    given = flow[None] if preprocessing else x.numpy()
    (found,) = session.run(None, {session.get_inputs()[0].name: given})
    assert metadata["axes"] == (
        ["batch", "time", "height", "width", 2] if preprocessing else ["batch", 2, "time", "height", "width"]
    )
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), model(x), rtol=1e-4, atol=1e-4)


def test_a_backbone_with_a_modality(runs: dict[str, RunFolder], clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = runs["flow"].path / "last" / "model.safetensors"
    words = (
        f"predict {clip} --model r3d_tiny --weights {weights} --clips 1 --frames 4 --size 32 --device cpu --workers 0"
    )
    assert cli.run([*words.split(), "--modality", "flow"]) == 0
    capsys.readouterr()
    assert cli.run(words.split()) == 2
    assert "--modality flow" in capsys.readouterr().err
    opened = open_network(NetworkConfig(model="r3d_tiny", modality="rgb-diff"))
    assert opened.clip.modality == "rgb-diff" and opened.clip.channels == 3
    with pytest.raises(ValueError, match="modality cannot be set with --run"):
        NetworkConfig(run="runs/first", modality="flow")
    assert cli.run(["models", "show", "r3d_tiny", "--modality", "flow"]) == 0
    assert "optical flow" in capsys.readouterr().out


def test_what_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"train action --data {data} --dataset folders --runs {tmp_path} --model r3d_tiny --modality flow {QUICK}"
    assert cli.run([*words.split(), "--jitter", "0.2"]) == 2
    assert "jitter 0.2 changes colours, and clips of modality 'flow' have none: --jitter 0" in capsys.readouterr().err
