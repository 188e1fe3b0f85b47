"""OSNet equals torchreid's: golden features, published sizes, and the block's formula written out."""

import numpy as np
import pytest
import torch
from shared_data import shared
from torch import Tensor
from torch.nn import functional as F
from trained_norms import randomise_norms

import specvid
from specvid.models.about import count_parameters
from specvid.models.backbones.osnet import OmniScaleBlock

PARAMETERS = {
    "osnet_x1_0": 2_169_508,
    "osnet_x0_75": 1_285_754,
    "osnet_x0_5": 630_034,
    "osnet_x0_25": 201_864,
    "osnet_ibn_x1_0": 2_170_532,
    "osnet_ain_x1_0": 2_169_508,
    "osnet_ain_x0_75": 1_285_754,
    "osnet_ain_x0_5": 630_034,
    "osnet_ain_x0_25": 201_864,
}
"""Of torchreid's networks without the classifier, counted there; its model zoo prints 2.2, 1.3, 0.6 and 0.2 million."""


@pytest.mark.parametrize("name", PARAMETERS)
def test_as_many_parameters_as_torchreids(name: str) -> None:
    with torch.device("meta"):
        assert count_parameters(specvid.create_model(name)) == PARAMETERS[name]


@pytest.mark.data
@pytest.mark.parametrize("trained_on", ["market1501", "msmt17"])
def test_golden_features(trained_on: str) -> None:
    golden = np.load(shared("golden/osnet_golden.npz"))[trained_on]
    weights = shared(f"weights/osnet_x0_25_{trained_on}.safetensors")
    model = specvid.create_model("osnet_x0_25", weights=weights).eval()
    assert not (model.loaded.missing or model.loaded.unexpected or model.loaded.mismatched)
    images = np.random.default_rng(0).normal(size=(2, 3, 256, 128)).astype(np.float32)
    with torch.no_grad():
        features = model.embed(torch.from_numpy(images)[:, :, None])
    torch.testing.assert_close(features, torch.from_numpy(golden), rtol=1e-4, atol=1e-4)


@pytest.mark.data
def test_weights_are_recognised() -> None:
    with pytest.raises(ValueError, match="These are weights of 'osnet_x0_25'"):
        specvid.create_model("osnet_x0_5", weights=shared("weights/osnet_x0_25_market1501.safetensors"))


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ain_x0_25"])
def test_torchreids_checkpoint_with_its_classifier(name: str, tmp_path) -> None:
    """Wrapped and with a prefix as torchreid saves it: the classifier of other identities is left out and named."""
    torch.manual_seed(0)
    source = specvid.create_model(name, num_classes=7)
    names = {"backbone": "module", "tail": "module", "head.classifier": "module.classifier"}
    state = {}
    for key, value in source.state_dict().items():
        part = next(part for part in names if key.startswith(f"{part}."))
        state[names[part] + key.removeprefix(part)] = value
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "model.pth.tar")
    model = specvid.create_model(name, num_classes=5, weights=tmp_path / "model.pth.tar")
    assert set(model.loaded.mismatched) == {"head.classifier.weight", "head.classifier.bias"}
    for key, value in model.state_dict().items():
        if not key.startswith("head."):
            assert torch.equal(value, source.state_dict()[key]), key


def _norm(x: Tensor, norm) -> Tensor:
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=1e-5)


def _slow_block(block: OmniScaleBlock, x: Tensor, streams: list[list], norm: str) -> Tensor:
    """The formula of the papers, layer by layer."""
    entry = F.relu(_norm(F.conv2d(x, block.conv1.conv.weight), block.conv1.bn))
    total = torch.zeros_like(entry)
    for layers in streams:
        y = entry
        for layer in layers:
            y = F.conv2d(y, layer.conv1.weight)
            y = F.conv2d(y, layer.conv2.weight, padding=1, groups=y.shape[1])
            y = F.relu(_norm(y, layer.bn))
        squeezed = F.relu(F.conv2d(y.mean((2, 3), keepdim=True), block.gate.fc1.weight, block.gate.fc1.bias))
        total = total + y * torch.sigmoid(F.conv2d(squeezed, block.gate.fc2.weight, block.gate.fc2.bias))
    y = F.conv2d(total, block.conv3.conv.weight)
    if norm == "inside":
        y = F.instance_norm(y, weight=block.IN.weight, bias=block.IN.bias)
    else:
        y = _norm(y, block.conv3.bn)
    y = y + _norm(F.conv2d(x, block.downsample.conv.weight), block.downsample.bn)
    if norm == "after":
        y = F.instance_norm(y, weight=block.IN.weight, bias=block.IN.bias)
    return F.relu(y)


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("norm", ["", "after", "inside"])
def test_a_block_is_the_formula(norm: str, listed: bool) -> None:
    torch.manual_seed(0)
    block = OmniScaleBlock(32, out=64, norm=norm, listed=listed).eval()
    randomise_norms(block)
    chains = [block.get_submodule(f"conv2.{i}.layers" if listed else f"conv2{'abcd'[i]}") for i in range(4)]
    streams = [[chain] if not listed and i == 0 else list(chain) for i, chain in enumerate(chains)]
    assert [len(layers) for layers in streams] == [1, 2, 3, 4]
    x = torch.randn(2, 32, 12, 6)
    with torch.no_grad():
        torch.testing.assert_close(block(x), _slow_block(block, x, streams, norm), rtol=1e-4, atol=1e-5)


def test_instance_norms_stand_where_the_papers_put_them() -> None:
    places = {}
    for name in ("osnet_x1_0", "osnet_ibn_x1_0", "osnet_ain_x1_0"):
        with torch.device("meta"):
            modules = specvid.create_model(name).backbone.named_modules()
        places[name] = [path for path, module in modules if isinstance(module, torch.nn.InstanceNorm2d)]
    assert places["osnet_x1_0"] == []
    assert places["osnet_ibn_x1_0"] == ["conv1.bn", "conv2.0.IN", "conv2.1.IN"]
    assert places["osnet_ain_x1_0"] == ["conv1.bn", "conv2.0.IN", "conv2.1.IN", "conv3.1.IN", "conv4.0.IN"]
