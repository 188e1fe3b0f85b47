"""``--interpolation area`` goes from the training to everything that reads clips for its network, and is said."""

import json
from pathlib import Path

import numpy as np
import pytest
from synthetic_videos import numbered_frame, write_video

from specvid import cli
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.networks.opening import open_network

QUICK = (
    "--frames 4 --stride 1 --size 32 --resize 36 --batch-size 4 --workers 0 --device cpu --no-tensorboard --epochs 1"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    root = tmp_path_factory.mktemp("area")
    for part in ("train", "test"):
        for name, first in (("few", 1), ("many", 900)):
            for number in range(3):
                path = root / "data" / part / name / f"{number}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                frames = [numbered_frame(first + number + i).repeat(3, 0).repeat(3, 1) for i in range(8)]
                write_video(path, frames, "libx264")
    words = f"train action --data {root}/data --dataset folders --model r3d_tiny --runs {root} --name a {QUICK}"
    assert cli.run([*words.split(), "--interpolation", "area"]) == 0
    return RunFolder(root / "a")


def test_it_is_kept_and_said(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    meta = json.loads((run.path / "last" / "meta.json").read_text())
    assert meta["input"]["interpolation"] == meta["model"]["input"]["interpolation"] == "area"
    assert run.results()["evaluations"][0]["interpolation"] == "area"
    assert open_network(NetworkConfig(run=str(run.path))).clip.interpolation == "area"
    assert cli.run(f"eval action --run {run.path} --clips 1 --device cpu --workers 0".split()) == 0
    assert (
        "1 clip x 1 crop, 4 frames x 1, 32 x 32 px (short side 36 before the crop), area, " in capsys.readouterr().out
    )


WORDS = {"own": "", "same": "--interpolation area", "other": "--interpolation bilinear"}


def test_embeddings_are_of_such_frames(run: RunFolder, tmp_path: Path) -> None:
    video = run.path.parent / "data" / "test" / "many" / "0.mp4"
    found = {}
    for name, words in WORDS.items():
        out = tmp_path / name
        command = f"embed {video} --run {run.path} --out {out} --device cpu --workers 1 --npz {words}"
        assert cli.run(command.split()) == 0
        found[name] = np.load(out / "embeddings.npz")["embedding"]
    assert (found["own"] == found["same"]).all()
    assert np.abs(found["own"] - found["other"]).max() > 1e-4


@pytest.mark.parametrize("way", ["", "--window sliding --length 4 --every 2 --format json"])
def test_predictions_are_of_such_frames(run: RunFolder, capsys: pytest.CaptureFixture[str], way: str) -> None:
    video = run.path.parent / "data" / "test" / "many" / "0.mp4"
    found = {}
    for name, words in WORDS.items():
        command = f"predict {video} --run {run.path} --device cpu --workers 0 {way or '--json'} {words}"
        assert cli.run(command.split()) == 0
        found[name] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found["own"] and found["own"] == found["same"]
    assert found["own"] != found["other"]
