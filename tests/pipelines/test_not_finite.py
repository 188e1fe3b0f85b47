"""Weights that are no numbers, and outputs that overflow: an error in every verb, never a share or a score of NaN."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_ucf101 import synthesize_tiny_ucf101

import specvid
from specvid import cli
from specvid.models.factory import create_model
from specvid.pipelines.networks.finite import require_finite, why_not_finite

CLIP = "--frames 4 --stride 1 --size 16 --resize 20 --batch-size 6 --workers 0 --device cpu --no-tensorboard"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/, and runs/nan and runs/large, whose weights are no numbers, or overflow."""
    folder = tmp_path_factory.mktemp("root")
    synthesize_tiny_ucf101(folder / "data", groups=4, clips=1)
    own = ["--data", str(folder / "data"), "--runs", str(folder / "runs"), "--name", "nan", "--model", "r3d_tiny"]
    assert cli.run(["train", "action", *own, *CLIP.split(), "--max-steps", "1"]) == 0
    shutil.copytree(folder / "runs/nan", folder / "runs/large")
    for name, value in (("nan", float("nan")), ("large", 1e30)):
        path = folder / "runs" / name / "last/model.safetensors"
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        weights = {key: tensor * value if tensor.ndim > 1 else tensor for key, tensor in load_file(path).items()}
        save_file(weights, path, metadata=metadata)
    return folder


VERBS = {
    "predict": "predict {video} --run {run} --device cpu --workers 0",
    "predict sliding": "predict {video} --run {run} --device cpu --workers 0 --window sliding --length 8 --merge",
    "eval action": "eval action --run {run} --data {data} --device cpu --workers 0",
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("name", "cause"), [("nan", "weights are not finite, e.g. "), ("large", "it overflows")])
def test_no_figures_of_nothing(root: Path, verb: str, name: str, cause: str, capsys: pytest.CaptureFixture) -> None:
    video = next((root / "data/videos").rglob("*.avi"))
    capsys.readouterr()
    words = VERBS[verb].format(video=video, run=root / "runs" / name, data=root / "data").split()
    assert cli.run(words) in (1, 2)
    out, err = capsys.readouterr()
    assert cause in out + err
    assert "nan%" not in out + err and "Traceback" not in out + err and "top1" not in out


@pytest.mark.parametrize("name", ["nan", "large"])
def test_none_in_python(root: Path, name: str) -> None:
    model = specvid.load(root / "runs" / name)
    video = next((root / "data/videos").rglob("*.avi"))
    for use in (model.predict, model.embed_video):
        with pytest.raises(ValueError, match="not finite"):
            use(video)


def test_the_cause_is_named() -> None:
    model = create_model("r3d_tiny", num_classes=3)
    assert why_not_finite(np.zeros((2, 3)), model) == ""
    assert "it overflows" in why_not_finite(torch.tensor([1.0, float("inf")]), model)
    with pytest.raises(ValueError, match=r"^a\.avi: the network's outputs are not finite"):
        require_finite(np.array([np.nan]), model, "a.avi")
    with torch.no_grad():
        model.head.classifier.bias[1] = float("nan")
    with pytest.raises(ValueError, match=r"weights are not finite, e\.g\. head\.classifier\.bias"):
        why_not_finite(np.array([np.nan]), model)
