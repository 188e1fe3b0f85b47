"""Convolutions replaced in whole networks: torchvision's, timm's, mmaction2's, in images and video."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import specvid
from specvid.models.convolutions import Convolution, list_convolutions
from specvid.models.weights import save_weights

CLIP = torch.randn(1, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0))
# network -> place, options
NETWORKS = {
    "r3d_tiny": ("layer2", {}),
    "inflated:resnet18": ("layer1.1", {}),
    "mobilenet_v2": ("features.5", {}),
    "r3d_18": ("layer1.1", {}),
    "timm:resnet18": ("layer1.1", {}),
    "mmaction:ResNet3d": ("layer1.1", {"depth": 18}),
    "mmaction:ResNet": ("layer1.1", {"depth": 18}),
}


def _model(name: str, **options: Any) -> nn.Module:
    for scheme, library in (("timm:", "timm"), ("mmaction:", "mmaction.models")):
        if name.startswith(scheme):
            pytest.importorskip(library)
    torch.manual_seed(0)
    return specvid.create_model(name, num_classes=3, input={"frames": 4}, **NETWORKS[name][1], **options).eval()


FAST = ("r3d_tiny", "timm:resnet18")


@pytest.fixture(
    scope="module", params=[name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def bare(request: pytest.FixtureRequest) -> tuple[str, nn.Module, torch.Tensor]:
    model = _model(request.param)
    for norm in model.modules():
        if isinstance(norm, (nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.ones_(norm.weight)  # those of residual branches start at 0 in some libraries
    with torch.no_grad():
        return request.param, model, model(CLIP)


@pytest.mark.parametrize("replacement", list_convolutions())
def test_stands_in_networks(replacement: str, bare: tuple[str, nn.Module, torch.Tensor]) -> None:
    """Those that start exactly leave the network's function as it is, and its other names; all of them learn."""
    name, network, wanted = bare
    place = NETWORKS[name][0]
    model = copy.deepcopy(network)
    report = specvid.replace_conv(model, f"{replacement}@{place}")
    layers = [module for module in model.modules() if isinstance(module, Convolution)]
    assert len(layers) == len(report.replaced) > 0
    assert all(path.startswith(place) for path in report.replaced)
    depthwise = name == "mobilenet_v2" and replacement in ("ghost", "c_ghost", "linear_conv", "phc")
    assert bool(report.left) == depthwise, report.left
    logits = model(CLIP)
    assert torch.isfinite(logits).all()
    if set(report.starts.values()) == {"exact"}:
        torch.testing.assert_close(logits, wanted, rtol=1e-3, atol=1e-4)
    logits.square().sum().backward()
    assert all(any(p.grad is not None and p.grad.any() for p in layer.parameters()) for layer in layers)


def test_a_model_is_rebuilt_from_its_config_and_weights(tmp_path: Path) -> None:
    model = _model("r3d_tiny", conv="dcd@layer2, linear_conv@layer1.0", blocks="snl@layer2.-1")
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    assert model.config["conv"] == "dcd@layer2, linear_conv@layer1.0"
    save_weights(model, tmp_path / "model.safetensors")
    twin = specvid.create_model(**model.config, weights=tmp_path / "model.safetensors").eval()
    torch.testing.assert_close(twin(CLIP), model(CLIP))
    model.save_pretrained(tmp_path / "shared")
    assert "`dcd@layer2, linear_conv@layer1.0`" in (tmp_path / "shared" / "README.md").read_text()
    torch.testing.assert_close(specvid.load(tmp_path / "shared").eval()(CLIP), model(CLIP))


def test_weights_of_the_bare_network_come_first(tmp_path: Path) -> None:
    bare = _model("r3d_tiny")
    for parameter in bare.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    save_weights(bare, tmp_path / "bare.safetensors")
    torch.manual_seed(1)
    model = specvid.create_model(
        "r3d_tiny",
        num_classes=3,
        input={"frames": 4},
        conv="dcd@layer2, sample_specific@layer1",
        weights=tmp_path / "bare.safetensors",
    ).eval()
    torch.testing.assert_close(model(CLIP), bare(CLIP), rtol=1e-4, atol=1e-5)


def test_the_random_state_and_all_else_are_as_without() -> None:
    torch.manual_seed(0)
    specvid.create_model("r3d_tiny", num_classes=3)
    without = torch.get_rng_state()
    torch.manual_seed(0)
    specvid.create_model("r3d_tiny", num_classes=3, conv="dcd@layer2")
    assert torch.equal(torch.get_rng_state(), without)


def test_merging_gives_the_plain_network_back() -> None:
    model = _model("inflated:resnet18", conv="linear_conv@layer1.1, dcd@layer2.1")
    wanted = model(CLIP)
    names = set(_model("inflated:resnet18", conv="dcd@layer2.1").state_dict())
    assert sorted(specvid.merge_conv(model)) == ["layer1.1.conv1", "layer1.1.conv2"]
    torch.testing.assert_close(model(CLIP), wanted, rtol=1e-4, atol=1e-5)
    assert set(model.state_dict()) == names
    assert model.config["conv"] == "dcd@layer2.1"
    assert type(model.backbone.layer1[1].conv1).__name__ == "InflatedConv3d"


def test_parts_before_a_convolution_stay_there() -> None:
    """TSM shifts in front of the first convolution of a residual branch, by a hook of that convolution."""
    shifted = _model("r3d_tiny", blocks="tsm@layer2.residual")
    model = copy.deepcopy(shifted)
    specvid.replace_conv(model, "dcd@layer2")
    torch.testing.assert_close(model(CLIP), shifted(CLIP), rtol=1e-4, atol=1e-5)
    merged = copy.deepcopy(shifted)
    specvid.replace_conv(merged, "bt(blocks=1, rank=100000)@layer2")
    torch.testing.assert_close(merged(CLIP), shifted(CLIP), rtol=1e-3, atol=1e-4)
    specvid.merge_conv(merged)
    torch.testing.assert_close(merged(CLIP), shifted(CLIP), rtol=1e-3, atol=1e-4)


def test_in_a_network_of_anybody() -> None:
    network = nn.Sequential(nn.Conv1d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, 8, 3)).eval()
    x = torch.randn(2, 4, 9)
    wanted = network(x)
    report = specvid.replace_conv(network, "dynamic_conv(kernels=2)@0, dcd@2")
    assert dict(report.replaced) == {"0": "dynamic_conv", "2": "dcd"}
    assert str(report) == "1 x dynamic_conv (start: exact), 1 x dcd (start: exact)"
    torch.testing.assert_close(network(x), wanted)


@pytest.mark.parametrize(("padding", "dilation"), [("same", 1), ("same", 2), ("valid", 1), (2, 1)])
def test_padding_by_name_is_a_number(padding: str | int, dilation: int) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=padding, dilation=dilation)).eval()
    x = torch.randn(2, 3, 9, 9)
    wanted = network(x)
    specvid.replace_conv(network, "dcd@0")
    torch.testing.assert_close(network(x), wanted)


def test_what_nothing_can_stand_for_is_left_and_named() -> None:
    layers = [nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 4, 2, 2), nn.Conv2d(4, 4, 2, padding="same")]
    network = nn.Sequential(nn.Sequential(*layers, nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")))
    report = specvid.replace_conv(network, "dcd@0")
    assert list(report.replaced) == ["0.0"] and list(report.left) == ["0.1", "0.2", "0.3"]
    assert "ConvTranspose2d is transposed" in str(report)
    with pytest.raises(ValueError, match="ConvTranspose2d is transposed"):
        specvid.replace_conv(network, "phc@0.1")


def test_a_convolution_used_at_several_places_stays_one() -> None:
    shared = nn.Conv2d(4, 4, 3, padding=1)
    network = nn.ModuleDict({"first": nn.Sequential(shared), "second": shared})
    with pytest.raises(ValueError, match="'second' is replaced by 'dcd' already"):
        specvid.replace_conv(network, "dcd@first, phc@second")
    assert list(specvid.replace_conv(network, "phc@second").replaced) == ["second"]
    assert network["second"] is network["first"][0] and isinstance(network["second"], Convolution)
    specvid.merge_conv(network)
    assert network["second"] is network["first"][0] and type(network["second"]) is nn.Conv2d


def test_parametrised_convolutions_are_replaced_and_merged() -> None:
    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 8, 3))
    network, x = nn.Sequential(conv).eval(), torch.randn(2, 4, 5, 5)
    wanted = network(x)
    specvid.replace_conv(network, "phc(n=1)@0")
    torch.testing.assert_close(network(x), wanted)
    specvid.merge_conv(network)
    assert type(network[0]) is nn.Conv2d
    torch.testing.assert_close(network(x), wanted)


def test_names_of_blocks_and_convolutions_are_told_apart() -> None:
    for given, message in (
        ({"conv": "snl@layer2"}, "'snl' replaces no convolution, it is inserted: give it to blocks="),
        ({"conv": "sda@layer2"}, "'sda' replaces no convolution"),
        ({"conv": "g_ghost@layer2"}, "the backbone 'g_ghost_regnet_x_3_2gf'"),
        ({"conv": "i3d_nln"}, "does not say which convolution goes where"),
        ({"blocks": "dcd@layer2"}, "'dcd' is no block, it replaces convolutions: give it to conv="),
    ):
        with pytest.raises(ValueError, match=message):
            specvid.create_model("r3d_tiny", **given)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dc@layer2", "convolution 'dc' is unknown. Did you mean 'dcd'"),
        ("dcd@layer7", "place 'layer7' is unknown"),
        ("dcd@layer2:2", "are not spread over a stage"),
        ("dcd(inner=0)@layer2", "inner=0 of convolution 'dcd'"),
        ("phc(n=7)@layer2.0.conv1", "n=7 of convolution 'phc' must divide"),
        ("dcd@layer2.0.bn1", "there is no convolution in 'layer2.0.bn1'"),
        ("dcd@layer2, phc@layer2.0", "is replaced by 'dcd' already"),
        ("dcd", "conv 'dcd': 'dcd' does not say which convolution goes where; the form is convolution"),
    ],
)
def test_mistakes_are_named_and_change_nothing(text: str, message: str) -> None:
    model = specvid.create_model("r3d_tiny", num_classes=3)
    names = list(model.state_dict())
    with pytest.raises(ValueError, match=message):
        specvid.replace_conv(model, text)
    assert list(model.state_dict()) == names
    assert "conv" not in model.config
