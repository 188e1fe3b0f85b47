"""Our blocks in mmaction2's own configs: registered, built, and trained by MMEngine's Runner."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from shared_data import shared
from torch import nn

import specvid
from specvid.models import create_model
from specvid.models.insertion.inserted_block import InsertedBlock

pytest.importorskip("mmaction.models", reason="pip install 'specvid[mmaction]'")

from mmaction.registry import MODELS
from mmcv.cnn import build_plugin_layer
from mmengine.registry import DefaultScope

import specvid.models.mmaction

DOCS = Path(__file__).resolve().parents[2] / "docs/mmaction.md"
SMALL: dict[str, Any] = {"type": "ResNet3d", "depth": 18, "base_channels": 8, "pretrained": None}


def build(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmaction"):
        return MODELS.build({"type": "SpecvidBackbone", "backbone": SMALL, **options})


def code_of_docs(language: str) -> str:
    (code,) = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    return code


@pytest.mark.parametrize("name", [name for name in specvid.list_blocks() if name != "spectral"])
def test_every_block_is_a_plugin_layer(name: str) -> None:
    with DefaultScope.overwrite_default_scope("mmaction"):
        abbreviation, layer = build_plugin_layer({"type": f"specvid_{name}"}, postfix="_1", in_channels=8)
    x = torch.randn(2, 8, 3, 4, 4)
    assert abbreviation == f"{name}_1"
    assert torch.equal(layer(x), x)
    assert type(layer.block) is type(specvid.create_block(name, 8))


def test_a_wrapped_backbone_is_mmactions_own_with_blocks() -> None:
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope("mmaction"):
        bare = MODELS.build(SMALL)
    bare.init_weights()
    wrapped, x = build(blocks="snl@layer3.-1, nl@layer2.end"), torch.randn(2, 3, 4, 32, 32)
    assert type(wrapped) is type(bare)
    missing = wrapped.load_state_dict(bare.state_dict(), strict=False).missing_keys
    assert {name.split(".")[1] for name in missing} == {"snl_before_1", "nl_after_1"}
    wrapped.init_weights()  # as its recogniser does: blocks stay identities
    wrapped.load_state_dict(bare.state_dict(), strict=False)
    wrapped.eval(), bare.eval()
    assert torch.equal(wrapped(x), bare(x))


def test_plugins_are_insertions() -> None:
    cfg = {"type": "specvid_snl", "impl": "dense"}
    plugins = [
        {"cfg": cfg, "stages": (False, (0, 1), True, False), "position": "after_conv2"},
        {"cfg": {"type": "specvid_nl"}, "stages": (True, False, False, False), "position": "after_conv1"},
    ]
    paths = [name for name, module in build(plugins=plugins).named_modules() if isinstance(module, InsertedBlock)]
    blocks = (
        "snl(impl=dense)@layer2.1.conv2.end, snl(impl=dense)@layer3.0.conv2.end, snl(impl=dense)@layer3.1.conv2.end"
    )
    same = build(blocks=f"{blocks}, nl@layer1.0.conv1.end, nl@layer1.1.conv1.end")
    assert paths == [name for name, module in same.named_modules() if isinstance(module, InsertedBlock)]
    assert paths == [
        "layer1.0.conv1.nl_after",
        "layer1.1.conv1.nl_after",
        "layer2.1.conv2.snl_after",
        "layer3.0.conv2.snl_after",
        "layer3.1.conv2.snl_after",
    ]
    everywhere = build(plugins=[{"cfg": {"type": "specvid_snl"}, "position": "after_conv2"}])
    assert sum(isinstance(module, InsertedBlock) for module in everywhere.modules()) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": "sln@layer3"}, "'sln' is unknown.*Did you mean 'snl'"),
        ({"blocks": "snl@layer5"}, "place 'layer5' is unknown.*Did you mean 'layer4'"),
        ({"backbone": {"type": "ResNet3D"}}, "class 'ResNet3D' is unknown.*Did you mean 'ResNet3d'"),
        ({"input": {"frame": 8}}, "input field 'frame' is unknown. Did you mean 'frames'"),
        ({"init_cfg": {"type": "Pretrained"}}, "init_cfg is not for it"),
        ({"plugins": [{"cfg": {"type": "NonLocal3d"}}]}, "has type 'NonLocal3d'; a block of specvid is 'specvid_snl'"),
        (
            {"plugins": [{"cfg": {"type": "specvid_sln"}, "position": "after_conv1"}]},
            "block 'sln' is unknown.*Did you mean 'snl'",
        ),
        (
            {"plugins": [{"cfg": {"type": "specvid_snl"}, "position": "after_conv3"}]},
            "position 'after_conv3' is unknown.*Choose from: after_conv1, after_conv2",
        ),
        (
            {"plugins": [{"cfg": {"type": "specvid_snl"}, "stages": (1,), "position": "after_conv1"}]},
            "stages names 1 stages; this network has 4",
        ),
        (
            {"plugins": [{"cfg": {"type": "specvid_snl"}, "stages": ((1,), 0, 0, 0), "position": "after_conv1"}]},
            "1 numbers for layer1, which has 2 blocks",
        ),
        ({"plugins": [{"cgf": {"type": "specvid_snl"}}]}, "field 'cgf' is unknown. Did you mean 'cfg'"),
        (
            {"plugins": [{"cfg": {"type": "specvid_snl"}}], "backbone": {"type": "C3D", "out_dim": 2048}},
            "C3D has no layer1; use blocks=",
        ),
    ],
)
def test_mistakes_in_a_config_are_answered(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_an_image_network_must_know_the_clip_length() -> None:
    resnet = {"type": "ResNet", "depth": 18, "pretrained": None}
    network = build(backbone=resnet, blocks="snl@layer4", input={"frames": 4})
    network.eval()
    with torch.no_grad():
        assert network(torch.randn(8, 3, 32, 32)).shape == (8, 512, 1, 1)
        with pytest.raises(ValueError, match="6 images are not clips of 4 frames"):
            network(torch.randn(6, 3, 32, 32))


@pytest.mark.slow
@pytest.mark.data
def test_the_runner_trains_the_config_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmengine.config import Config
    from mmengine.runner import Runner

    root = str(shared("data/ucf101-raw"))
    monkeypatch.chdir(tmp_path)
    subprocess.run(["bash", "-euc", code_of_docs("bash").replace("data/ucf101", root)], cwd=tmp_path, check=True)
    assert (tmp_path / "train.txt").read_text().startswith("Archery/v_Archery_g09_c02.avi 0\n")
    Path("spectral.py").write_text(code_of_docs("python").replace("data/ucf101", root))
    config = Config.fromfile("spectral.py")
    config.merge_from_dict({"train_cfg": {"max_epochs": 1}, "launcher": "none", "randomness": {"seed": 0}})
    runner = Runner.from_cfg(config)
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    runner.train()
    assert runner.iter == 5  # 20 clips, 4 a step
    after = runner.model.state_dict()
    assert all(value.isfinite().all() for value in after.values())
    (gate,) = (name for name in after if name.endswith("gate"))
    assert before[gate] == 0 != after[gate]
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert {"backbone.conv1.conv.weight", "cls_head.fc_cls.weight"} <= changed
    losses = runner.message_hub.get_scalar("train/loss").data[0]
    assert len(losses) == 5
    assert torch.as_tensor(losses).isfinite().all()
    assert 0 <= runner.message_hub.get_scalar("val/acc/top1").current() <= 1

    torch.save({"state_dict": after}, "weights.pth")
    ours = create_model("mmaction:spectral.py", blocks="snl@layer3.-1", num_classes=5, weights="weights.pth").eval()
    assert (ours.loaded.missing, ours.loaded.unexpected, ours.loaded.mismatched) == ({}, {}, {})
    clip = torch.randn(2, 3, 8, 112, 112)
    with torch.no_grad():
        want = runner.model.eval()(clip[:, None], stage="head")
        torch.testing.assert_close(ours(clip), want, rtol=1e-5, atol=1e-5)
