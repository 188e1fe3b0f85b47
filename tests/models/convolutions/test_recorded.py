"""Convolution replacements equal recorded modules of the authors, in an image and in a clip of one frame."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from specvid.models.blocks import from_official
from specvid.models.convolutions import create_convolution
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
    # drconv's values reach 49, where float32 has steps of 4e-6: what was recorded lies 1.3e-5 from float64 (below)
    torch.testing.assert_close(y, numbers["y"], rtol=0, atol=4e-5 if name == "drconv" else 1e-5)
    torch.testing.assert_close(x.grad, numbers["grad_x"], rtol=0, atol=1e-5)


def test_drconv_equals_the_recorded_module_in_float64() -> None:
    """Outputs and all gradients to rounding; float32 differs from the recorded file no more than the module itself."""
    numbers, state = _recorded("drconv")
    wanted = load_file(GOLDEN / "drconv_float64.safetensors")
    layer = from_official("drconv", state, constructor=CONSTRUCTORS["drconv"], dims=2).double()
    x = numbers["x"].double().requires_grad_()
    y = layer(x)
    y.backward(numbers["grad_y"].double())
    torch.testing.assert_close(y, wanted["y"], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(x.grad, wanted["grad_x"], rtol=1e-10, atol=1e-10)
    for theirs, ours in {"conv_kernel.1": layer.squeeze, "conv_kernel.3": layer.make}.items():
        for kind in ("weight", "bias"):
            gradient = getattr(ours, kind).grad.reshape(wanted[f"grad.{theirs}.{kind}"].shape)
            torch.testing.assert_close(gradient, wanted[f"grad.{theirs}.{kind}"], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(layer.guide.grad, wanted["grad.conv_guide.weight"], rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(layer.guide_bias.grad, wanted["grad.conv_guide.bias"], rtol=1e-10, atol=1e-10)
    assert (wanted["y"] - numbers["y"]).abs().max() > 1e-5


def test_bt_equals_the_layer_of_tednet() -> None:
    """``BTTConv2D``, whose window has a mode for each axis: together they are the rows of our last factor."""
    numbers, theirs = _recorded("bt")
    layer = create_convolution(
        "bt", 8, dims=2, out_channels=12, stride=2, bias=True, blocks=2, rank=9, order=2
    ).double()
    windows = [[theirs[f"k{axis}_factor_block{block}"] for axis in (0, 1)] for block in (0, 1)]
    with torch.no_grad():
        for block, (rows, columns) in enumerate(windows):
            layer.core[block] = theirs[f"core_block{block}"].flatten(2)
            for number in (0, 1):
                layer.factors[number][block] = theirs[f"c_factor{number}_block{block}"].transpose(0, 1).flatten(0, 1)
            layer.factors[2][block] = torch.kron(rows, columns)
        layer.bias.copy_(theirs["bias"])
    x = numbers["x"].clone().requires_grad_()
    y = layer(x)
    y.backward(numbers["grad_y"])
    close = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-10)
    close(y, numbers["y"])
    close(x.grad, numbers["grad_x"])
    close(layer.bias.grad, numbers["grad.bias"])
    for block, (rows, columns) in enumerate(windows):
        close(layer.core.grad[block], numbers[f"grad.core_block{block}"].flatten(2))
        for number in (0, 1):
            wanted = numbers[f"grad.c_factor{number}_block{block}"].transpose(0, 1).flatten(0, 1)
            close(layer.factors[number].grad[block], wanted)
        window = layer.factors[2].grad[block].reshape(3, 3, 3, 3)  # of a row, a column, and the ranks of both
        close(torch.einsum("abrs,bs->ar", window, columns), numbers[f"grad.k0_factor_block{block}"])
        close(torch.einsum("abrs,ar->bs", window, rows), numbers[f"grad.k1_factor_block{block}"])


def test_every_recorded_file_is_compared() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == {*CONSTRUCTORS, "bt", "drconv_float64"}


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
