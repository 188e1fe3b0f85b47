"""A described model that is larger than the weights beside it: refused before it takes memory."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from specvid.models.bounded import bounded_by
from specvid.models.factory import create_model
from specvid.models.pretrained import build_described, load
from specvid.models.spec import Backbone

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system limits no memory")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    create_model("r3d_tiny", num_classes=3).save_pretrained(path)
    return path


def peak() -> int:
    """Bytes of memory that this process had at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@LINUX
@pytest.mark.parametrize(
    "config",
    [
        {"name": "inflated:resnet50(time=2001)"},
        {"name": "inflated:resnet50", "time": 9999},
        {"name": "r3d_tiny", "num_classes": 10_000_000},
        {"name": "r3d_tiny", "num_classes": 3, "embedding_dim": 9_000_000},
        {"name": "i3d_r152"},
        {"name": "timm:eva_giant_patch14_560"},
        {"name": "timm:vit_base_patch16_224", "img_size": 9984},
    ],
    ids=lambda config: f"{config['name']}-{len(config)}",
)
def test_models_larger_than_their_weights(folder: Path, config: dict[str, Any]) -> None:
    if config["name"].startswith("timm:"):
        pytest.importorskip("timm")
    before = peak()
    with pytest.raises(ValueError, match=re.escape(str(folder))):
        build_described({"model": config}, folder / "config.json")
    assert peak() - before < 2**31


@LINUX
def test_what_is_computed_while_it_is_built_is_limited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> Backbone:
        torch.zeros(2**30, 4)
        raise AssertionError("there was memory for it")

    monkeypatch.setattr("specvid.models.factory.build_backbone", lambda name, **options: build())
    with pytest.raises(ValueError, match="describes no model of specvid"):
        build_described({"model": {"name": "r3d_tiny"}}, folder / "config.json")


def test_only_within_the_block(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ValueError, match="larger than the 0 numbers"), bounded_by(tmp_path / "none", "it"):
        nn.Linear(10_000, 10_000, device="meta")
    assert nn.Linear(10_000, 10_000, device="meta").in_features == 10_000
    assert load(folder).num_classes == 3
    content = json.loads((folder / "config.json").read_text())
    assert build_described(content, folder / "config.json").num_classes == 3


@pytest.mark.parametrize("name", ["i3d_r50", "inflated:resnet18(time=7)"])
def test_models_that_are_built_more_than_once_are_of_their_weights(name: str, tmp_path: Path) -> None:
    """Built in 2D, inflated, its classifier left out: what is registered on the way counts each time."""
    create_model(name, num_classes=400, blocks="snl@layer3.-1").save_pretrained(tmp_path)
    assert load(tmp_path).num_classes == 400
