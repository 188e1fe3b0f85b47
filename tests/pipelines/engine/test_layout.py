"""Layouts change where numbers lie, where that was found to be faster, and no number."""

import copy

import pytest
import torch

from specvid.models import create_model
from specvid.pipelines.engine.layout import lay_out


@pytest.mark.parametrize(
    ("model", "device", "precision", "is_last"),
    [("r3d_18", "cuda", "bf16", True), ("r3d_18", "cuda", "fp32", False), ("r3d_18", "cpu", "bf16", False)],
)
def test_channels_of_3d_convolutions_are_last_where_that_is_faster(
    model: str, device: str, precision: str, is_last: bool
) -> None:
    network = create_model(model).eval()
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


def test_networks_with_grouped_convolutions_are_left_as_they_are() -> None:
    network = torch.nn.Sequential(torch.nn.Conv3d(4, 4, 3), torch.nn.Conv3d(4, 4, 3, groups=2))
    lay_out(network, "cuda", "bf16")
    assert all(module.weight.is_contiguous() for module in network)
