"""Layouts change where numbers lie, where that was found to be faster, and no number."""

import copy

import pytest
import torch

from specvid.models import create_model
from specvid.pipelines.engine.config import ComputeConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.layout import for_inference, lay_out


@pytest.mark.parametrize(
    ("device", "precision", "is_last"),
    [("cuda", "bf16", True), ("cuda", "fp32", False), ("cpu", "bf16", True), ("mps", "fp16", False)],
)
def test_channels_of_3d_convolutions_are_last_where_that_is_faster(device: str, precision: str, is_last: bool) -> None:
    network = create_model("r3d_18").eval()
    before = copy.deepcopy(network)
    lay_out(network, device, precision)
    kernels = [module.weight for module in network.modules() if isinstance(module, torch.nn.Conv3d)]
    kernels = [weight for weight in kernels if min(weight.shape[1], weight[0, 0].numel()) > 1]
    assert kernels
    assert {weight.is_contiguous(memory_format=torch.channels_last_3d) for weight in kernels} == {is_last}
    assert all(torch.equal(*pair) for pair in zip(before.parameters(), network.parameters(), strict=True))
    x = torch.randn(1, 3, 4, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(network.embed(x), before.embed(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("precision", "is_last"), [("bf16", True), ("fp32", False)])
def test_evaluation_is_laid_out_as_training_is(precision: str, is_last: bool) -> None:
    model = create_model("r3d_18")
    copied = for_inference(make_fabric(ComputeConfig(device="cpu", precision=precision)), model)
    kernel = copied.backbone.get_submodule("layer4.1.conv1.0").weight
    assert kernel.is_contiguous(memory_format=torch.channels_last_3d) == is_last
    assert copied.folded
    assert not copied.training
    assert model.training
    assert not model.folded


def test_networks_with_grouped_convolutions_are_left_as_they_are() -> None:
    network = torch.nn.Sequential(torch.nn.Conv3d(4, 4, 3), torch.nn.Conv3d(4, 4, 3, groups=2))
    lay_out(network, "cuda", "bf16")
    assert all(module.weight.is_contiguous() for module in network)
