"""Wrong classes, options, configs, checkpoints and places of mmaction2's networks: the nearest right answer."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmaction_families import CASES, recogniser_config

from specvid.models import create_model

pytest.importorskip("mmaction.models", reason="pip install 'specvid[mmaction]'")

I3D = {"depth": 18, "base_channels": 8}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ResNet3D", {}, r"class 'ResNet3D' is unknown\. Did you mean 'ResNet3d'"),
        ("STGCN", {}, r"class 'STGCN' is unknown\..*Choose from: C3D, MobileNetV2, "),
        ("ResNet3d", {"dept": 18}, r"'dept' is unknown\. Did you mean 'depth'"),
        ("ResNet3d", {"depth": 19}, r"'mmaction:ResNet3d' cannot be built with depth=19: KeyError"),
        (
            "ResNet3d",
            {**I3D, "pretrained": "torchvision://resnet18"},
            r"would be downloaded; give weights=FILE instead",
        ),
        ("ResNetTSM", {"depth": 18, "temporal_pool": True}, r"parts do the same: .*tsm@residual, tpool@layer1.end"),
        ("ResNetTSM", {"depth": 18, "input": {"frames": 5}}, r"built for 8 and takes nothing else; .*num_segments="),
        (
            "ResNet3d",
            {**I3D, "blocks": "snl@layer5"},
            r"place 'layer5' is unknown.*Did you mean 'layer4'.*res4 = layer3",
        ),
        ("ResNet3d", {**I3D, "blocks": "sln@layer3"}, r"'sln' is unknown\. Did you mean 'snl'"),
        ("ResNet3d", {**I3D, "out_indices": (0, 3)}, r"gives no single feature map.*name one of out_indices"),
        (
            "SwinTransformer3D",
            {**CASES["swin"].options, "blocks": "snl@layers.2.blocks.0.attn"},
            "the features are cut into windows there",
        ),
        (
            "TimeSformer",
            {**CASES["timesformer"].options, "blocks": "snl@transformer_layers.layers.1.end"},
            "only the class token goes on from there",
        ),
        (
            "TimeSformer",
            {**CASES["timesformer"].options, "blocks": "snl@transformer_layers.layers.1.ffns"},
            "maps only between the layers: choose 'transformer_layers.layers.N'",
        ),
    ],
)
def test_classes_options_and_places(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model(f"mmaction:{name}", **options)


def config_with(changes: dict[str, Any], **settings: Any) -> str:
    """A sound config of an I3D as text, with some of its model replaced."""
    model = {**recogniser_config(CASES["i3d"], 128), **changes}
    return f"model = {model!r}\n" + "".join(f"{name} = {value!r}\n" for name, value in settings.items())


HEAD = {"num_classes": 5, "in_channels": 128}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model = dict(", r"the config cannot be read \(SyntaxError"),
        ("_base_ = 'nowhere.py'", r"the config cannot be read \(FileNotFoundError"),
        ("lr = 1", "the config has no model with a backbone; give that of a recogniser"),
        (config_with({"type": "RecognizerGCN"}), "is a RecognizerGCN; it must be a Recognizer2D or a Recognizer3D"),
        (config_with({"backbone": {"type": "ResNet3dPathway"}}), "its backbone is a 'ResNet3dPathway'; those that fit"),
        (
            config_with({"cls_head": {"type": "SlowFastHead", **HEAD}}),
            r"its head is 'SlowFastHead'.*I3DHead\). For the backbone alone give 'mmaction:ResNet3d'",
        ),
        (config_with({"cls_head": {"type": "I3DHead", "spatial_type": None, **HEAD}}), "with spatial_type=None"),
        (config_with({"data_preprocessor": {"type": "ActionDataPreprocessor", "to_rgb": True}}), "swaps red and blue"),
    ],
)
def test_wrong_configs(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        create_model(f"mmaction:{tmp_path}/config.py")


def test_a_config_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"there is no such config file.*Give the path of a config file, or the name"):
        create_model("mmaction:configs/mine.py")
    shipped = "slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb"
    with pytest.raises(ValueError, match=f"Did you mean '{shipped}'"):
        create_model(f"mmaction:{shipped.replace('r50', 'r5O')}")


def test_what_a_config_says_of_its_clips(tmp_path: Path) -> None:
    pipeline = [
        {"type": "SampleFrames", "clip_len": 8, "frame_interval": 6},
        {"type": "Resize", "scale": (-1, 128)},
        {"type": "CenterCrop", "crop_size": 112},
    ]
    loader = {"dataset": {"type": "VideoDataset", "pipeline": pipeline}}
    (tmp_path / "config.py").write_text(config_with({}, train_dataloader=loader, val_dataloader=loader))
    model = create_model(f"mmaction:{tmp_path}/config.py", num_classes=5)
    spec = model.input
    assert (spec.frames, spec.stride, spec.size, spec.resize) == (8, 6, 112, 128)
    assert spec.mean == pytest.approx((123.675 / 255, 116.28 / 255, 103.53 / 255))
    changed = create_model(f"mmaction:{tmp_path}/config.py", depth=34, input={"size": 64})
    assert (changed.config["depth"], changed.input.size, changed.input.frames) == (34, 64, 8)


@pytest.mark.parametrize(
    ("kind", "ours", "message"),
    [
        ("x3d", "mmaction:ResNet3d", r"Nothing was loaded\. These are weights of 'mmaction:X3D'"),
        ("swin", "r3d_tiny", r"not one of its \d+ tensors belongs.*These are weights of 'mmaction:SwinTransformer3D'"),
        ("timesformer", "r3d_tiny", r"These are weights of 'mmaction:TimeSformer'"),
        ("slowfast", "mmaction:ResNet3d", r"These are weights of 'mmaction:ResNet3dSlowFast'"),
        pytest.param(
            "slowonly", "mmaction:ResNet3d", r"tensors of another shape.*Nothing was loaded", marks=pytest.mark.slow
        ),
        pytest.param(
            "tsn", "mmaction:ResNet3d", r"tensors of another shape.*Nothing was loaded", marks=pytest.mark.slow
        ),
    ],
)
def test_wrong_checkpoints(kind: str, ours: str, message: str, tmp_path: Path) -> None:
    case = CASES[kind]
    theirs = create_model(f"mmaction:{case.name}", **case.options).backbone.state_dict()
    torch.save({"state_dict": {f"backbone.{name}": value for name, value in theirs.items()}}, tmp_path / "other.pth")
    options = I3D if ours == "mmaction:ResNet3d" else {}
    with pytest.raises(ValueError, match=message):
        create_model(ours, weights=tmp_path / "other.pth", **options)


@pytest.mark.parametrize("name", ["ResNet3d", "slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb", "config.py"])
def test_without_mmaction2_the_command_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("mmaction", "mmaction.models", "mmaction.registry"):
        monkeypatch.setitem(sys.modules, module, None)  # importing it now fails
    advice = r"cannot be imported .*Run `pip install 'specvid\[mmaction\]'`"
    with pytest.raises(ValueError, match=rf"backbone 'mmaction:{name}' needs mmaction.models, which {advice}"):
        create_model(f"mmaction:{name}")
    monkeypatch.delitem(sys.modules, "specvid.models.mmaction", raising=False)
    with pytest.raises(ValueError, match=rf"specvid.models.mmaction needs mmaction.registry, which {advice}"):
        importlib.import_module("specvid.models.mmaction")
