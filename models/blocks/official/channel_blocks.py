"""Channel blocks of torchvision, timm, mmcv and the authors' repositories, all of the paper's form."""

from typing import Any

from torch import Tensor

from specvid.models.blocks.official.conversion import (
    Conversion,
    State,
    Translation,
    implied_by_shapes,
    option,
    reads,
    rename,
)

_PAPER = {"identity": False}


def _implied(*arguments: str) -> dict[str, Translation]:
    """Constructor arguments that the shapes of the weights determine, or that change nothing here."""
    return dict.fromkeys(arguments, implied_by_shapes)


def _bottleneck(state: State, reduce: str, expand: str, ours: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The keys of a bottleneck with its two layers under these names, and its options."""
    keys = rename(state, {reduce: f"{ours}.reduce", expand: f"{ours}.expand"})
    return keys, {"inner": state[f"{reduce}.weight"].shape[0]}


@reads("se")
def read_se(state: State) -> Conversion:
    """Read torchvision's SqueezeExcitation, timm's SEModule, or the common SELayer (``fc.0``, ``fc.2``).

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``se``.
    """
    reduce, expand = ("fc.0", "fc.2") if "fc.0.weight" in state else ("fc1", "fc2")
    keys, width = _bottleneck(state, reduce, expand, "excite")
    return Conversion(
        "se",
        width | {"bias": f"{reduce}.bias" in state} | _PAPER,
        keys,
        channels=state[f"{reduce}.weight"].shape[1],
        constructor=_implied("input_channels", "squeeze_channels", "channels", "channel", "reduction", "bias")
        | _implied("rd_ratio", "rd_channels", "rd_divisor"),
    )


@reads("eca")
def read_eca(state: State) -> Conversion:
    """Read ECANet's eca_layer or timm's EcaModule, whose weights do not determine the channels.

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``eca``.
    """
    return Conversion(
        "eca",
        {"kernel": state["conv.weight"].shape[-1]} | _PAPER,
        {"conv.weight": "conv.weight"},
        undetermined={"channels": "the number of channels, which the weights are independent of"},
        constructor={"channel": option("channels"), "channels": option("channels")} | _implied("k_size", "kernel_size"),
    )


@reads("gc")
def read_gc(state: State) -> Conversion:
    """Read mmcv's ContextBlock.

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``gc``.
    """
    parts = [part for part in ("add", "mul") if f"channel_{part}_conv.0.weight" in state]
    keys, first = (
        rename(state, {"conv_mask": "attention"}),
        f"channel_{parts[0]}_conv.0.weight" if parts else "channel_add_conv.0.weight",
    )
    for part in parts:
        theirs = f"channel_{part}_conv"
        keys |= rename(state, {f"{theirs}.0": f"{part}.reduce", f"{theirs}.1": f"{part}.norm"})
        keys |= rename(state, {f"{theirs}.3": f"{part}.expand"})
    pooling = "attention" if "conv_mask.weight" in state else "mean"
    return Conversion(
        "gc",
        {"inner": state[first].shape[0], "pooling": pooling, "fusion": "+".join(parts)} | _PAPER,
        {theirs: ours for theirs, ours in keys.items() if theirs != "conv_mask.bias"},
        without_effect=("conv_mask.bias",),  # it shifts all scores of a softmax alike
        channels=state[first].shape[1],
        constructor=_implied("in_channels", "ratio", "pooling_type", "fusion_types"),
    )


@reads("cbam")
def read_cbam(state: State) -> Conversion:
    """Read the CBAM of its authors' repository, or timm's CbamModule.

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``cbam``.
    """
    timm = "channel.fc1.weight" in state
    reduce, expand = ("channel.fc1", "channel.fc2") if timm else ("ChannelGate.mlp.1", "ChannelGate.mlp.3")
    spatial, norm = (
        ("spatial.conv.conv", "spatial.conv.bn") if timm else ("SpatialGate.spatial.conv", "SpatialGate.spatial.bn")
    )
    keys, width = _bottleneck(state, reduce, expand, "excite")
    return Conversion(
        "cbam",
        width | {"bias": f"{reduce}.bias" in state, "kernel": state[f"{spatial}.weight"].shape[-1]} | _PAPER,
        keys | rename(state, {spatial: "conv", norm: "norm"}),
        channels=state[f"{reduce}.weight"].shape[1],
        changes={} if timm else {"conv.weight": _mean_first},
        constructor=_implied("gate_channels", "reduction_ratio", "channels", "rd_ratio", "rd_channels", "rd_divisor")
        | _implied("spatial_kernel_size", "mlp_bias")
        | {"pool_types": _pool_types, "no_spatial": _no_spatial},
    )


def _mean_first(weight: Tensor) -> Tensor:
    """The authors put the maximum before the mean, the paper and we the mean first."""
    return weight.flip(1)


def _pool_types(kinds: Any) -> dict[str, Any]:
    """CBAM's pool_types: only both are ours."""
    if set(kinds) != {"avg", "max"}:
        raise ValueError(f"pool_types={list(kinds)} is not possible here: cbam pools by ['avg', 'max'].")
    return {}


def _no_spatial(no_spatial: Any) -> dict[str, Any]:
    """CBAM's no_spatial: only False is ours."""
    if no_spatial:
        raise ValueError("no_spatial=True is not possible here: cbam has a spatial gate; 'se' has none.")
    return {}


@reads("ge")
def read_ge(state: State) -> Conversion:
    """Read timm's GatherExcite.

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``ge``.

    Raises:
        ValueError: it has a gather of global extent with parameters, whose kernel is as large as the features.
    """
    mlp = "mlp.fc1.weight" in state
    keys, width = _bottleneck(state, "mlp.fc1", "mlp.fc2", "excite") if mlp else ({}, {})
    convolutions = sum(key.startswith("gather.conv") for key in state)
    for i in range(convolutions):
        keys |= rename(state, {f"gather.conv{i + 1}": f"gather.{3 * i}", f"gather.norm{i + 1}": f"gather.{3 * i + 1}"})
    if convolutions and state["gather.conv1.weight"].shape[-1] != 3:
        raise ValueError("gather of global extent with parameters is not possible here: its kernel is one feature map.")
    options: dict[str, Any] = {"extent": 2**convolutions, "gather": "conv"} if convolutions else {"gather": "mean"}
    some = next((key for key in ("mlp.fc1.weight", "gather.conv1.weight") if key in state), "mlp.fc1.weight")
    return Conversion(
        "ge",
        width | {"mlp": mlp} | options | _PAPER,
        keys,
        channels=state["mlp.fc1.weight"].shape[1] if mlp else state[some].shape[0],
        undetermined={} if convolutions else {"extent": "0 (all positions, its default), 2, 4 or 8"},
        constructor=_implied("channels", "extra_params", "use_mlp", "rd_ratio", "rd_channels", "rd_divisor")
        | {"extent": option("extent")},
    )
