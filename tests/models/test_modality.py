"""Networks of optical flow and of differences of frames: channels, weights, saving."""

from pathlib import Path

import pytest
import torch
from backbone_cases import CASES
from torch import nn

import specvid
from specvid.models import create_model
from specvid.models.about import model_on_meta, multiply_adds
from specvid.models.channels import average_channels, change_channels
from specvid.models.spec import InputSpec
from specvid.models.tree import describe
from specvid.models.weights.load import load_weights
from specvid.models.weights.save import save_weights

FLOW = {"modality": "flow"}


def first(model: nn.Module) -> nn.Conv2d | nn.Conv3d:
    return next(module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Conv3d))


def test_input_of_each_modality() -> None:
    spec = InputSpec(8, 1, 32, 40, std=(0.2, 0.4, 0.6))
    flow, difference = spec.override(FLOW), spec.override({"modality": "rgb-diff"})
    assert (spec.channels, flow.channels, difference.channels) == (3, 2, 3)
    assert flow.mean == flow.std == (0.5, 0.5)
    assert difference.mean == (0.5,) * 3 and difference.std == (0.1, 0.2, 0.3)
    assert spec.override({"modality": "flow", "std": (0.1, 0.2)}).std == (0.1, 0.2)
    assert flow.override({"size": 16}).mean == (0.5, 0.5)
    assert flow.shape(3) == (1, 2, 8, 32, 32) and flow.shape(2, clips=2) == (16, 2, 32, 32)
    with pytest.raises(ValueError, match=r"mean is .* it takes 2 numbers"):
        flow.override({"mean": (0.5,) * 3})
    with pytest.raises(ValueError, match="Did you mean 'flow'"):
        spec.override({"modality": "flows"})
    with pytest.raises(ValueError, match="modality is 'flow'; build the network anew for 'rgb'"):
        flow.override({"modality": "rgb"})


@pytest.mark.parametrize("name", ["r3d_tiny", "resnet18", "mobilenet_v2", "i3d_inception", "swin3d_t", "i3d_r50"])
def test_the_first_convolution_takes_the_mean_over_rgb(name: str) -> None:
    torch.manual_seed(0)
    rgb = create_model(name)
    torch.manual_seed(0)
    flow = create_model(name, input=FLOW)
    expected = rgb.state_dict()
    changed = [key for key, value in flow.state_dict().items() if value.shape != expected[key].shape]
    assert len(changed) == 1
    weight, before = flow.state_dict()[changed[0]], expected[changed[0]]
    assert torch.equal(weight[:, 0], before.mean(1)) and torch.equal(weight[:, 1], before.mean(1))
    assert all(torch.equal(value, expected[key]) for key, value in flow.state_dict().items() if key not in changed)


@pytest.mark.parametrize("name", CASES)
def test_every_backbone_takes_flow(name: str) -> None:
    case = CASES[name]
    case.skip_without_extra()
    model = case.create(input=FLOW).eval()
    with torch.no_grad():
        y = model.embed(case.clip()[:, :2])
    assert y.shape[1] == model.embedding_dim and y.isfinite().all()


@pytest.mark.parametrize("name", ["r3d_tiny", "resnet18"])
def test_it_runs_with_blocks_and_refuses_rgb(name: str) -> None:
    changes = {"modality": "flow", "frames": 4, "size": 32, "resize": 40}
    place = "layer2.-1"
    model = create_model(name, blocks=f"snl@{place}", num_classes=3, input=changes).eval()
    assert model(torch.randn(2, 2, 4, 32, 32)).shape == (2, 3)
    with pytest.raises(ValueError, match=r"takes \(B, 2, T, H, W\) of optical flow"):
        model(torch.randn(2, 3, 4, 32, 32))
    clone = create_model(**model.config)
    assert clone.input == model.input and first(clone).in_channels == 2


def test_rgb_diff_is_the_same_network() -> None:
    torch.manual_seed(0)
    rgb = create_model("r3d_tiny")
    torch.manual_seed(0)
    difference = create_model("r3d_tiny", input={"modality": "rgb-diff"})
    assert all(torch.equal(a, b) for a, b in zip(rgb.parameters(), difference.parameters(), strict=True))


def test_cost_and_description_count_two_channels() -> None:
    rgb, flow = (model_on_meta("r3d_tiny", input={"modality": name}) for name in ("rgb", "flow"))
    x, y = (model.backbone(torch.empty(model.input.shape(3), device="meta")) for model in (rgb, flow))
    assert x.shape == y.shape and multiply_adds(flow) < multiply_adds(rgb)
    assert "optical flow" in describe("r3d_tiny", blocks="snl@layer2.-1", input=FLOW)


def test_a_network_without_a_convolution_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Conv2d(8, 8, 1))
    with pytest.raises(ValueError, match="no convolution of 3 channels that takes the picture"):
        change_channels(network, 2)


def test_rgb_weights_are_averaged_and_reported(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = create_model("r3d_tiny", num_classes=4)
    save_weights(source, tmp_path / "rgb.safetensors")
    model = create_model("r3d_tiny", num_classes=4, input=FLOW, weights=str(tmp_path / "rgb.safetensors"))
    assert torch.equal(first(model).weight, average_channels(first(source).weight, 2))
    assert model.loaded is not None
    assert list(model.loaded.adapted.values()) == ["mean over RGB for each channel of optical flow"]
    assert "mean over RGB" in str(model.loaded) and not model.loaded.missing


def test_weights_of_images_are_averaged_and_inflated(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = create_model("resnet18", num_classes=4)
    save_weights(source, tmp_path / "rgb.safetensors")
    model = create_model("inflated:resnet18", input=FLOW)
    report = load_weights(model, tmp_path / "rgb.safetensors")
    weight = first(model).weight
    assert torch.allclose(weight.sum(2), average_channels(first(source).weight, 2), atol=1e-6)
    stem = next(why for why in report.adapted.values() if why.startswith("mean over RGB"))
    assert weight.shape[2] == 1 or "inflated" in stem


def test_flow_weights_load_as_they_are_and_are_refused_for_rgb(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = create_model("i3d_inception", num_classes=5, input=FLOW)
    state = {name.removeprefix("backbone."): value for name, value in source.state_dict().items()}
    for part in ("weight", "bias"):
        value = state.pop(f"head.classifier.{part}")
        state[f"logits.conv3d.{part}"] = value[..., None, None, None] if part == "weight" else value
    torch.save(state, tmp_path / "flow_imagenet.pt")  # as pytorch-i3d publishes them
    torch.manual_seed(2)
    model = create_model("i3d_inception", num_classes=5, input=FLOW, weights=str(tmp_path / "flow_imagenet.pt"))
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in model.state_dict().items())
    assert model.loaded is not None and not any("mean over RGB" in why for why in model.loaded.adapted.values())
    for other in ({}, {"modality": "rgb-diff"}):
        with pytest.raises(
            ValueError, match=r"Conv3d_1a_7x7.* is of optical flow.*--modality flow.*Nothing was loaded"
        ):
            create_model("i3d_inception", num_classes=5, input=other, weights=str(tmp_path / "flow_imagenet.pt"))


def test_default_weights_are_those_of_the_modality(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        torch.hub, "load_state_dict_from_url", lambda url, **_: asked.append(url) or {"other": torch.zeros(1)}
    )
    for changes in ({}, FLOW):
        with pytest.raises(ValueError, match="do not fit"):
            create_model("i3d_inception", input=changes, weights="DEFAULT")
    assert [url.rpartition("/")[2] for url in asked] == ["rgb_imagenet.pt", "flow_imagenet.pt"]


def test_a_shared_folder_brings_its_modality(tmp_path: Path) -> None:
    model = create_model("r3d_tiny", num_classes=3, input=FLOW).eval()
    model.save_pretrained(tmp_path / "shared")
    loaded = specvid.load(tmp_path / "shared")
    x = torch.randn(1, 2, 8, 40, 40)
    assert loaded.input == model.input and torch.equal(loaded(x), model(x))
    assert "optical flow" in (tmp_path / "shared" / "README.md").read_text()


def test_what_other_libraries_call_it() -> None:
    with pytest.raises(ValueError, match=r"Did you mean input=\{'modality': ...\}"):
        create_model("r3d_tiny", in_channels=2)
