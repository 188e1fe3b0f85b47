"""What takes the place of convolutions, of the authors' repositories."""

from functools import partial
from typing import Any

from specvid.models.blocks.official.conversion import (
    Conversion,
    State,
    Translation,
    implied_by_shapes,
    option,
    reads,
    rename,
)
from specvid.models.convolutions import create_convolution


def _conversion(
    name: str,
    keys: dict[str, str],
    *,
    channels: int,
    kernel: int,
    out_channels: int,
    constructor: tuple[str, ...],
    options: dict[str, Any],
    translations: dict[str, Translation] | None = None,
    padding: int | None = None,
    **more: Any,
) -> Conversion:
    """A convolution of kernel x kernel positions; its stride, padding and dilation are its constructor's."""
    shape = {"out_channels": out_channels, "kernel_size": kernel}
    geometry = {"stride": 1} | ({} if padding is None else {"padding": padding})
    return Conversion(
        name,
        shape | options,
        keys,
        defaults=geometry | more.pop("defaults", {}),
        channels=channels,
        constructor=dict.fromkeys(constructor, implied_by_shapes)
        | {argument: option(argument) for argument in ("stride", "padding", "dilation")}
        | (translations or {}),
        create=partial(create_convolution, name),
        **more,
    )


@reads("dcd")
def read_dcd(state: State) -> Conversion:
    """Read the conv_basic_dy and conv_dy of dcd, whose convolution keeps the size at stride 1.

    Args:
        state: The module's state dict.

    Returns:
        How it becomes ``dcd``.
    """
    weight, squeeze = state["conv.weight"], state["fc.0.weight"]
    out, channels, kernel = weight.shape[:3]
    bins = round((squeeze.shape[1] / channels) ** 0.5)
    reduction = max(squeeze.shape[1], state["q.weight"].shape[0] ** 2) // squeeze.shape[0]
    names = {"conv": "conv", "q": "q", "p": "p", "bn1": "norm_z", "bn2": "norm_phi", "fc_phi": "phi"}
    return _conversion(
        "dcd",
        rename(state, names | {"fc_scale": "scale", "fc.0": "squeeze", "fc.1.fc.0": "gate"}),
        channels=channels,
        kernel=kernel,
        out_channels=out,
        constructor=("inplanes", "planes", "kernel_size"),
        options={"bins": bins, "inner": state["q.weight"].shape[0], "reduction": reduction},
    )


@reads("dynamic_conv")
def read_dynamic_conv(state: State) -> Conversion:
    """Read the Dynamic_conv2d of Dynamic-convolution-Pytorch, whose weights do not determine the temperature.

    Args:
        state: The module's state dict.

    Returns:
        How it becomes ``dynamic_conv``.
    """
    kernels, out, channels, window = state["weight"].shape[:4]
    names = {"weight": "kernels", "attention.fc1.weight": "reduce.weight"}
    names |= {f"attention.fc2.{key}": f"attend.{key}" for key in ("weight", "bias")}
    biased = "bias" in state
    return _conversion(
        "dynamic_conv",
        names | ({"bias": "biases"} if biased else {}),
        channels=channels,
        kernel=window,
        out_channels=out,
        constructor=("in_planes", "out_planes", "kernel_size", "ratio", "K", "bias"),
        options={"kernels": kernels, "inner": state["attention.fc1.weight"].shape[0], "bias": biased},
        translations={"temperature": option("temperature")},
        padding=0,
        defaults={"temperature": 34.0},
    )


@reads("drconv")
def read_drconv(state: State) -> Conversion:
    """Read the DRConv2d of DRConv-PyTorch, which has neither a kernel of its own nor a bias.

    Args:
        state: The module's state dict.

    Returns:
        How it becomes ``drconv``.
    """
    guide = state["conv_guide.weight"]
    regions, channels, window = guide.shape[:3]
    names = {
        f"conv_kernel.{number}.{key}": f"{ours}.{key}"
        for number, ours in ((1, "squeeze"), (3, "make"))
        for key in ("weight", "bias")
    }
    return _conversion(
        "drconv",
        names | {"conv_guide.weight": "guide", "conv_guide.bias": "guide_bias"},
        channels=channels,
        kernel=window,
        out_channels=state["conv_kernel.3.bias"].shape[0] // (regions * channels),
        constructor=("in_channels", "out_channels", "kernel_size", "region_num"),
        options={"regions": regions},
        padding=0,
        zeros=("kernel",),
    )


@reads("linear_conv")
def read_linear_conv(state: State) -> Conversion:
    """Read the xCNN of LinearConv.

    Args:
        state: The module's state dict.

    Returns:
        How it becomes ``linear_conv``.
    """
    primary, mixing = state["conv_weights"], state["linear_weights"]
    biased = "bias" in state
    return _conversion(
        "linear_conv",
        {"conv_weights": "primary", "linear_weights": "mixing"} | ({"bias": "bias"} if biased else {}),
        channels=primary.shape[1],
        kernel=primary.shape[2],
        out_channels=len(primary) + len(mixing),
        constructor=("channels", "filters", "kernel_size", "bias"),
        options={"bias": biased},
        padding=0,
    )


@reads("phc")
def read_phc(state: State) -> Conversion:
    """Read the PHConv2d of HyperNets, whose bias has no effect.

    Args:
        state: The module's state dict.

    Returns:
        How it becomes ``phc``.
    """
    n, out, channels, window = state["F"].shape[:4]
    return _conversion(
        "phc",
        {"A": "algebra", "F": "filters"},
        channels=n * channels,
        kernel=window,
        out_channels=n * out,
        constructor=("n", "in_features", "out_features", "kernel_size", "cuda"),
        options={"n": n},
        padding=0,
        without_effect=("bias",),
    )


@reads("ghost")
def read_ghost(state: State) -> Conversion:
    """Read the GhostModule of Efficient-AI-Backbones; the channels of its output must be given where some are cut off.

    Args:
        state: The module's state dict.

    Returns:
        How it becomes ``ghost``.
    """
    primary, cheap = state["primary_conv.0.weight"], state["cheap_operation.0.weight"]
    names = {"primary_conv.1": "norm", "cheap_operation.1": "cheap_norm", "cheap_operation.0": "cheap"}
    return _conversion(
        "ghost",
        {"primary_conv.0.weight": "kernel"} | rename(state, names),
        channels=primary.shape[1],
        kernel=primary.shape[2],
        out_channels=len(primary) + len(cheap),
        constructor=("inp", "kernel_size", "ratio", "dw_size"),
        options={"ratio": len(cheap) // len(primary) + 1, "cheap": cheap.shape[-1]},
        translations={"relu": option("relu"), "oup": option("out_channels")},
        defaults={"relu": True},
    )
