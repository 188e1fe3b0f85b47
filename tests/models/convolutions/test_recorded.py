"""Convolution replacements equal recorded modules of the authors, in an image and in a clip of one frame."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from specvid.models.blocks import from_official
from specvid.models.convolutions.linear_conv import LinearConvolution

GOLDEN = Path(__file__).parents[2] / "golden" / "convolutions"

# What the references were made with, by the names of their own constructors (manifest.json of the golden files).
CONSTRUCTORS: dict[str, dict[str, Any]] = {
    "dcd": {"inplanes": 16, "planes": 16, "stride": 1},
    "dynamic_conv": {"in_planes": 16, "out_planes": 12, "kernel_size": 3, "ratio": 0.25, "stride": 1, "padding": 1}
    | {"K": 4, "temperature": 34},
    "drconv": {"in_channels": 16, "out_channels": 12, "kernel_size": 3, "region_num": 4, "padding": 1},
    "linear_conv": {"channels": 16, "filters": 20, "kernel_size": 3, "padding": 1, "stride": 1, "bias": True},
    "phc": {"n": 4, "in_features": 16, "out_features": 24, "kernel_size": 3, "padding": 1, "stride": 1, "cuda": False},
    "ghost": {"inp": 16, "oup": 24, "kernel_size": 1, "ratio": 2, "dw_size": 3, "stride": 1, "relu": True},
}


def _recorded(name: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    numbers = load_file(GOLDEN / f"{name}.safetensors")
    return numbers, {key.removeprefix("param."): value for key, value in numbers.items() if key.startswith("param.")}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_equals_the_recorded_module(name: str, dims: int) -> None:
    numbers, state = _recorded(name)
    layer = from_official(name, state, constructor=CONSTRUCTORS[name], dims=dims)
    x = numbers["x"].clone().requires_grad_()
    y = layer(x) if dims == 2 else layer(x.unsqueeze(2)).squeeze(2)
    y.backward(numbers["grad_y"])
    torch.testing.assert_close(y, numbers["y"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(x.grad, numbers["grad_x"], rtol=0, atol=1e-5)


def test_the_regulariser_of_linear_conv_is_the_recorded_one() -> None:
    numbers, state = _recorded("linear_conv")
    layer = from_official("linear_conv", state, constructor=CONSTRUCTORS["linear_conv"], weight=0.5)
    assert isinstance(layer, LinearConvolution)
    penalty = layer.penalty()
    assert penalty is not None
    (2 * penalty).backward()
    torch.testing.assert_close(2 * penalty.detach(), numbers["reg"].reshape(()), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.primary.grad, numbers["grad_reg.conv_weights"], rtol=0, atol=1e-5)


def test_a_wrong_constructor_argument_is_named() -> None:
    _, state = _recorded("phc")
    with pytest.raises(ValueError, match="Did you mean 'in_features'"):
        from_official("phc", state, constructor={"in_featurs": 16})
