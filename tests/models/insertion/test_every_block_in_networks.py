"""Every block stands in networks of torchvision, timm and mmaction2, of images and of videos."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

import specvid
from specvid.models.blocks import list_blocks

CLIP = torch.randn(1, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0))
# network -> place, options
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet18": ("layer3.-1", {}),
    "r3d_18": ("layer3.-1", {}),
    "timm:resnet18": ("layer3.-1", {}),
    "mmaction:ResNet": ("layer3.-1", {"depth": 18}),
    "mmaction:ResNet3d": ("layer3.-1", {"depth": 18}),
}
FAST = ("resnet18",)


@pytest.fixture(
    scope="module", params=[name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
def bare(request: pytest.FixtureRequest) -> tuple[str, nn.Module, torch.Tensor]:
    name = request.param
    for scheme, library in (("timm:", "timm"), ("mmaction:", "mmaction.models")):
        if name.startswith(scheme):
            pytest.importorskip(library)
    torch.manual_seed(0)
    model = specvid.create_model(name, num_classes=3, input={"frames": 4}, **NETWORKS[name][1]).eval()
    with torch.no_grad():
        return name, model, model(CLIP)


@pytest.mark.parametrize("block", [name for name in list_blocks() if name != "spectral"])  # takes a Python function
def test_starts_as_the_identity_learns_and_goes_again(block: str, bare: tuple[str, nn.Module, torch.Tensor]) -> None:
    name, network, wanted = bare
    model = copy.deepcopy(network)
    before = set(model.state_dict())
    torch.manual_seed(1)
    specvid.insert(model.backbone, f"{block}@{NETWORKS[name][0]}", _input(model))
    own = {key: p for key, p in model.named_parameters() if key not in before}
    assert own
    logits = model(CLIP)
    assert torch.equal(logits, wanted)
    logits.square().sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in own.values())
    specvid.remove(model.backbone)
    assert set(model.state_dict()) == before


def _input(model: nn.Module) -> torch.Tensor:
    """What the backbone sees: clips, or frames."""
    return CLIP if model.dims == 3 else CLIP[0].transpose(0, 1)
