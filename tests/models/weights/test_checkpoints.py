"""Checkpoints of other projects: the right tensors go to the right places, and what does not is named."""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torchvision
from source_networks import norm as source_norm
from source_networks import resnet3d
from synthetic_checkpoints import State, conv, linear, mmaction_resnet, norm, prefixed, resnet, torchvision_names
from torch import Tensor

from specvid.models import create_model
from specvid.models.video_model import VideoModel


def loaded(tmp_path: Path, checkpoint: object, name: str, **options: object) -> VideoModel:
    torch.save(checkpoint, tmp_path / "file.pth")
    return create_model(name, weights=str(tmp_path / "file.pth"), **options).eval()


def assert_all(model: VideoModel) -> None:
    report = model.loaded
    assert (report.missing, report.mismatched, report.unexpected) == ({}, {}, {})
    assert set(report.matched) == set(model.state_dict())


def image_logits(state: State, clip: Tensor, *, classes: int = 6, last_stride: int = 2) -> Tensor:
    """torchvision's ResNet-18 on each frame: pooled features (B, T, 512)."""
    network = torchvision.models.resnet18(num_classes=classes).eval()
    network.load_state_dict(state, strict=False)
    for layer in (network.layer4[0].conv1, network.layer4[0].downsample[0]):
        layer.stride = (last_stride, last_stride)
    network.fc = torch.nn.Identity()
    with torch.no_grad():
        return torch.stack([network(clip[:, :, t]) for t in range(clip.shape[2])], 1)


# -- torchvision, as it saves its own --------------------------------------------------------------------------------


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "r3d_18"])
def test_torchvision(tmp_path: Path, name: str, parallel: bool) -> None:
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None, num_classes=6).eval()
    state = torch.nn.DataParallel(network).state_dict() if parallel else network.state_dict()
    model = loaded(tmp_path, {"state_dict": state}, name, num_classes=6, blocks=_BLOCK[name])
    report = model.loaded
    assert (report.mismatched, report.unexpected) == ({}, {})
    assert set(report.missing.values()) == {"an inserted block, which stays as it is"}
    still = torch.randn(1, 3, 1, 64, 64).expand(-1, -1, 2, -1, -1)
    with torch.no_grad():
        expected = network(still) if name == "r3d_18" else network(still[:, :, 0])
        torch.testing.assert_close(model(still), expected, rtol=1e-4, atol=1e-5)


_BLOCK = {"resnet18": "snl@layer3.-1", "mobilenet_v2": "snl@features.13", "r3d_18": "snl@layer3.-1"}


# -- kenshohara ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "shortcut"), [(18, "A"), (18, "B"), pytest.param(50, "B", marks=pytest.mark.slow)])
def test_kenshohara(tmp_path: Path, depth: int, shortcut: str) -> None:
    torch.manual_seed(0)
    state = resnet(depth, dims=3, shortcut=shortcut) | linear("fc", 6, 512 if depth == 18 else 2048)
    checkpoint = {"epoch": 200, "arch": f"resnet-{depth}", "state_dict": OrderedDict(prefixed("module.", state))}
    model = loaded(tmp_path, checkpoint, f"resnet3d_{depth}", shortcut=shortcut, num_classes=6)
    assert_all(model)
    clip = torch.randn(2, 3, 9, 40, 33)
    with torch.no_grad():
        torch.testing.assert_close(model(clip), resnet3d(state, clip, depth), rtol=1e-4, atol=1e-5)


def test_kenshohara_with_the_other_shortcut(tmp_path: Path) -> None:
    state = prefixed("module.", resnet(18, dims=3, shortcut="A"))
    with pytest.raises(ValueError, match=r"15 tensors missing .*These are weights of 'resnet3d_18', shortcut='A'"):
        loaded(tmp_path, state, "resnet3d_18")
    with pytest.raises(ValueError, match=r"shortcut 'C' is unknown"):
        create_model("resnet3d_18", shortcut="C")


# -- mmaction2 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tsm", "parallel"), [(False, False), (True, False), (True, True)])
def test_mmaction2_image_resnets(tmp_path: Path, tsm: bool, parallel: bool) -> None:
    """TSN and TSM; TSM's checkpoint with our shift in its residual branches."""
    torch.manual_seed(0)
    state = mmaction_resnet(18, tsm=tsm)
    head = linear("cls_head.fc_cls", 6, 512)
    complete = prefixed("backbone.", state) | head
    checkpoint = {"meta": {"epoch": 50}, "state_dict": prefixed("module.", complete) if parallel else complete}
    model = loaded(tmp_path, checkpoint, "resnet18", num_classes=6)
    assert_all(model)
    clip = torch.randn(1, 3, 2, 64, 64)
    features = image_logits(torchvision_names(state), clip).mean(1)
    with torch.no_grad():
        expected = features @ head["cls_head.fc_cls.weight"].T + head["cls_head.fc_cls.bias"]
        torch.testing.assert_close(model(clip), expected, rtol=1e-4, atol=1e-5)
    shifted = loaded(tmp_path, checkpoint, "resnet18", num_classes=6, blocks="tsm@residual")
    assert_all(shifted)


# -- re-identification -----------------------------------------------------------------------------------------------


def test_torchreid(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = resnet(18, dims=2)
    head = linear("classifier", 6, 512)
    checkpoint = {"state_dict": prefixed("module.", state | head), "epoch": 60, "rank1": 0.9, "optimizer": {"lr": 1}}
    model = loaded(tmp_path, checkpoint, "resnet18", num_classes=6, last_stride=1, input={"size": (64, 32)})
    assert_all(model)
    clip = torch.randn(2, 3, 2, 64, 32)
    with torch.no_grad():
        features = image_logits(state, clip, last_stride=1).mean(1)
        torch.testing.assert_close(model.embed(clip), features, rtol=1e-4, atol=1e-5)
        expected = features @ head["classifier.weight"].T + head["classifier.bias"]
        torch.testing.assert_close(model(clip), expected, rtol=1e-4, atol=1e-5)
    bnneck = loaded(tmp_path, checkpoint, "resnet18", num_classes=6, neck="bnneck")
    assert bnneck.loaded.unexpected == {
        "module.classifier.bias": "this layer of the model has no bias, so its results differ by it"
    }
    assert set(bnneck.loaded.missing.values()) == {"not in the file; it stays as it is"}  # the neck


def test_torchreid_with_its_own_embedding_layer(tmp_path: Path) -> None:
    """resnet50_fc512: linear, norm, ReLU, which is no neck of ours: named, not dropped silently."""
    state = resnet(18, dims=2) | linear("fc.0", 8, 512) | norm("fc.1", 8) | linear("classifier", 6, 8)
    model = loaded(tmp_path, {"state_dict": state}, "resnet18", num_classes=6)
    assert {"fc.0.weight", "fc.0.bias", "fc.1.weight"} <= set(model.loaded.unexpected)
    assert model.loaded.mismatched["head.classifier.weight"] == "(6, 8) in the file, (6, 512) in the model"


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("parallel", [False, True])
def test_fast_reid(tmp_path: Path, old: bool, parallel: bool) -> None:
    torch.manual_seed(0)
    state = resnet(18, dims=2)
    neck = norm("heads.bottleneck.0", 512) | {"heads.bottleneck.0.bias": torch.zeros(512)}
    weight = 0.05 * torch.randn(6, 512)
    head = {"heads.classifier.weight" if old else "heads.weight": weight}
    pixels = {"pixel_mean": torch.zeros(1, 3, 1, 1), "pixel_std": torch.ones(1, 3, 1, 1)}
    complete = prefixed("backbone.", state) | neck | head | pixels
    checkpoint = {"model": prefixed("module.", complete) if parallel else complete, "iteration": 9, "optimizer": {}}
    model = loaded(tmp_path, checkpoint, "resnet18", num_classes=6, neck="bnneck", last_stride=1)
    assert set(model.loaded.matched) == set(model.state_dict())
    assert set(model.loaded.unexpected.values()) == {"no such part in the model"}
    assert {name.rpartition(".")[2] for name in model.loaded.unexpected} == {"pixel_mean", "pixel_std"}
    clip = torch.randn(2, 3, 2, 64, 32)
    with torch.no_grad():
        embedding = source_norm(neck, "heads.bottleneck.0", image_logits(state, clip, last_stride=1).mean(1))
        torch.testing.assert_close(model.embed(clip), embedding, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(model(clip), embedding @ weight.T, rtol=1e-4, atol=1e-5)
    plain = loaded(tmp_path, checkpoint, "resnet18", num_classes=6)
    reasons = {why for name, why in plain.loaded.unexpected.items() if "bottleneck" in name}
    assert reasons == {"a BNNeck, which this model has not; create it with neck='bnneck'"}


def test_fast_reid_with_an_embedding_layer(tmp_path: Path) -> None:
    """A 1x1 convolution without bias before the neck: our projection, whose bias becomes 0."""
    torch.manual_seed(0)
    state = resnet(18, dims=2)
    neck = conv("heads.bottleneck.0", 10, 512, 1, 1) | norm("heads.bottleneck.1", 10)
    complete = prefixed("backbone.", state) | neck | {"heads.weight": torch.randn(6, 10)}
    model = loaded(tmp_path, {"model": complete}, "resnet18", num_classes=6, neck="bnneck", embedding_dim=10)
    assert_all(model)
    assert model.loaded.adapted["head.projection.bias"] == "zeros: this layer has no bias in the file"
    clip = torch.randn(1, 3, 2, 32, 32)
    with torch.no_grad():
        projected = image_logits(state, clip).mean(1) @ neck["heads.bottleneck.0.weight"][..., 0, 0].T
        expected = source_norm(neck, "heads.bottleneck.1", projected)
        torch.testing.assert_close(model.embed(clip), expected, rtol=1e-4, atol=1e-5)


# -- I3D, and the wrong ones -----------------------------------------------------------------------------------------

MIXED = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")


def test_the_usual_port_of_i3d(tmp_path: Path) -> None:
    """Names of rgb_imagenet.pt, without the counters that old files lack; shapes as the model has them."""
    torch.manual_seed(0)
    source = create_model("i3d_inception", num_classes=400)
    units = ["Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"]
    units += [f"Mixed_{name}.{branch}" for name in MIXED for branch in ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")]
    tensors = ("conv3d.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    names = [f"{unit}.{tensor}" for unit in units for tensor in tensors]
    own = source.backbone.state_dict()
    state = OrderedDict((name, torch.rand_like(own[name])) for name in names)
    state |= {"logits.conv3d.weight": torch.randn(400, 1024, 1, 1, 1), "logits.conv3d.bias": torch.randn(400)}
    torch.save(state, tmp_path / "rgb_imagenet.pt")
    model = create_model("i3d_inception", num_classes=400, weights=str(tmp_path / "rgb_imagenet.pt"))
    assert not model.loaded.missing and not model.loaded.unexpected and not model.loaded.mismatched
    assert len(model.loaded.matched) == len(names) + 2 == 57 * 5 + 2
    assert torch.equal(model.backbone.Mixed_4c.b1b.conv3d.weight, state["Mixed_4c.b1b.conv3d.weight"])
    assert torch.equal(model.head.classifier.weight, state["logits.conv3d.weight"].flatten(1))


@pytest.mark.parametrize(
    ("state", "ours", "message"),
    [
        (lambda: resnet(18, dims=2), "mobilenet_v2", r"not one of its \d+ tensors .* weights of 'resnet18'"),
        (lambda: prefixed("module.", resnet(18, dims=3)), "r3d_18", "These are weights of 'resnet3d_18'"),
        (lambda: prefixed("backbone.", mmaction_resnet(18)), "r3d_tiny", "These are weights of 'resnet18'"),
        (lambda: {"encoder.0.weight": torch.ones(2)}, "r3d_tiny", r"not one of its 1 tensors belongs .*\. Give"),
    ],
)
def test_the_wrong_checkpoint_is_told_whose_it_is(tmp_path: Path, state, ours: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loaded(tmp_path, state(), ours)
