"""Activation checkpointing in float64: the same gradients and running statistics, of every kind of network."""

import copy

import pytest
import torch
from torch import Tensor, nn

from specvid.models import create_model
from specvid.models.checkpointing import checkpoint_activations, find_units, remove_checkpoints
from specvid.models.video_model import VideoModel
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.parts import freeze, train_mode

CASES = [
    ("r3d_tiny", "snl@layer2.-1, nl@layer1.end"),
    ("mobilenet_v2", "snl@features.13"),
    ("i3d_inception", "se@Mixed_4f"),
    pytest.param("osnet_x0_25", "", marks=pytest.mark.slow),
    pytest.param("timm:vit_tiny_patch16_224", "gc@blocks.5", marks=pytest.mark.slow),
]
SMALL = {"frames": 4, "size": 32, "resize": 32}
BIG = {"frames": 2, "size": 224, "resize": 224}


def made(name: str, blocks: str) -> VideoModel:
    torch.manual_seed(0)
    options = {"dropout": 0.2} if name == "mobilenet_v2" else {}
    clips = BIG if "vit" in name else SMALL
    return create_model(name, blocks=blocks, num_classes=3, input=clips, **options).double()


def steps(model: VideoModel, *, count: int = 2) -> tuple[list[Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Losses, gradients and buffers after steps of which the second sees what the first left behind."""
    torch.manual_seed(1)
    train_mode(model)
    clip = model.input
    x = torch.randn(2, 3, clip.frames, *clip.crop, dtype=torch.float64)
    losses = []
    for _ in range(count):
        loss = nn.functional.cross_entropy(model(x), torch.tensor([0, 2]))
        loss.backward()
        losses.append(loss.detach())
    gradients = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    return losses, gradients, dict(model.named_buffers())


def assert_same(found, wanted) -> None:
    torch.testing.assert_close(found[0], wanted[0], rtol=0, atol=0)
    assert found[1].keys() == wanted[1].keys()
    torch.testing.assert_close(found[1], wanted[1], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found[2], wanted[2], rtol=0, atol=0)


@pytest.mark.parametrize(("name", "blocks"), CASES)
def test_gradients_and_running_statistics_stay(name: str, blocks: str) -> None:
    model = made(name, blocks)
    other = copy.deepcopy(model)
    units = checkpoint_activations(other)
    assert len(units) > 2
    assert_same(steps(other), steps(model))


def test_compiled_code_is_refused() -> None:
    with pytest.raises(ValueError, match="compile and checkpoint_activations exclude each other"):
        EngineConfig(compile=True, checkpoint_activations=True)


@pytest.mark.parametrize("parts", [("backbone",), ("stem", "layer1")])
def test_what_is_frozen_stays_frozen(parts: tuple[str, ...]) -> None:
    model = made("r3d_tiny", "snl@layer2.-1")
    freeze(model, parts)
    other = copy.deepcopy(model)
    checkpoint_activations(other)
    assert_same(steps(other), steps(model))


def test_what_is_inside_a_unit_is_not_held() -> None:
    """Fewer bytes are held for the backward pass."""
    held = {}
    for name, change in (("plain", None), ("checkpointed", checkpoint_activations)):
        model = made("mobilenet_v2", "")
        if change is not None:
            change(model)
        own = {parameter.data_ptr() for parameter in model.parameters()}
        kept: dict[int, int] = {}

        def pack(tensor: Tensor, own: set[int] = own, kept: dict[int, int] = kept) -> Tensor:
            if tensor.data_ptr() not in own:
                kept[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model.train()(torch.randn(2, 3, 4, 32, 32, dtype=torch.float64))
        held[name] = sum(kept.values())
    assert held["checkpointed"] < held["plain"] / 3


def test_without_gradients_and_folded_nothing_is_left_of_it() -> None:
    model = made("r3d_tiny", "snl@layer2.-1").eval()
    x = torch.randn(1, 3, 4, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        wanted, units = model(x), checkpoint_activations(model)
        torch.testing.assert_close(model(x), wanted, rtol=0, atol=0)
        folded = model.for_inference()
        torch.testing.assert_close(folded(x), wanted)
    assert all("forward" not in module.__dict__ for module in folded.modules())
    assert checkpoint_activations(model) == units == find_units(model.backbone)  # twice is once
    remove_checkpoints(model)
    assert all("forward" not in module.__dict__ for module in model.modules())


def test_a_network_without_units_says_so() -> None:
    model = made("r3d_tiny", "")
    model.backbone = nn.Sequential(nn.Conv3d(3, 4, 3))
    with pytest.raises(ValueError, match="has no composite units"):
        checkpoint_activations(model)
