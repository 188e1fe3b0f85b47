"""Nonlocal blocks and disentangled ones, as the libraries of the field spell them."""

from collections.abc import Callable
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
from specvid.models.blocks.official.stages import FIRST, read_stage

OUT = "units.0.weights.0"
NORM = "units.0.norm"

_MODES = {"embedded_gaussian": "embedded", "gaussian": "gaussian", "dot_product": "dot", "concatenation": "concat"}


def _implied(*arguments: str) -> dict[str, Translation]:
    """Constructor arguments that the shapes of the weights determine, or that change nothing here."""
    return dict.fromkeys(arguments, implied_by_shapes)


@reads("nl")
def read_nonlocal(state: State) -> Conversion:
    """Read a nonlocal block of any repository, recognised by its keys.

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``nl``.
    """
    for key, read in _NONLOCAL.items():
        if key in state:
            return read(state)
    return read_stage(state, block="nl", terms={"w_2.weight": FIRST})


def _mmcv(state: State) -> Conversion:
    """mmcv's NonLocal1d, 2d and 3d: ConvModules, in nn.Sequential(module, max_pool) with ``sub_sample``."""
    sub_sample = "g.0.conv.weight" in state
    prefix = ".0.conv" if sub_sample else ".conv"
    ours = {f"g{prefix}": "units.0.g", f"phi{prefix}": "affinity.phi", "theta.conv": "affinity.theta"}
    ours |= {"concat_project.conv": "affinity.project", "conv_out.conv": OUT, "conv_out.bn": NORM}
    kernel = _find_kernel(state, theta="theta.conv.weight", project="concat_project.conv.weight")
    return Conversion(
        "nl",
        _options(state, f"g{prefix}.weight", norm="conv_out.bn.weight" in state) | {"sub_sample": sub_sample} | kernel,
        rename(state, ours),
        defaults={} if kernel else {"kernel": "embedded", "scale": True},
        zeros=(f"{OUT}.bias",),  # a ConvModule with a norm has no bias
        constructor=_implied("in_channels", "reduction", "sub_sample", "conv_cfg", "norm_cfg")
        | _implied("zeros_init", "std")
        | {"use_scale": option("scale"), "mode": lambda mode: {"kernel": _MODES[mode]}},
    )


def _alexhex7(state: State) -> Conversion:
    """AlexHex7's NONLocalBlock1D, 2D and 3D, of a file for each kernel; W is a convolution, or one and a batch norm."""
    sub_sample, norm = "g.0.weight" in state, "W.1.weight" in state
    suffix = ".0" if sub_sample else ""
    ours = {f"g{suffix}": "units.0.g", f"phi{suffix}": "affinity.phi", "theta": "affinity.theta"}
    ours |= {"concat_project.0": "affinity.project"} | ({"W.0": OUT, "W.1": NORM} if norm else {"W": OUT})
    kernel = _find_kernel(state, theta="theta.weight", project="concat_project.0.weight")
    constructor = ("in_channels", "inter_channels", "dimension", "sub_sample", "bn_layer")
    return Conversion(
        "nl",
        _options(state, f"g{suffix}.weight", norm=norm) | {"sub_sample": sub_sample} | kernel,
        rename(state, ours),
        undetermined={}
        if kernel
        else {"kernel": "'embedded' (non_local_embedded_gaussian) or 'dot' (non_local_dot_product)"},
        constructor=_implied(*constructor),
    )


def _slowfast(state: State) -> Conversion:
    """SlowFast's Nonlocal; its norm is called bn, or norm in some versions."""
    ours = {"conv_g": "units.0.g", "conv_theta": "affinity.theta", "conv_phi": "affinity.phi", "conv_out": OUT}
    norm = "bn.weight" in state or "norm.weight" in state
    undetermined = {"sub_sample": "'input' (pool_size=(1, 2, 2), as in I3D_NLN) or False (pool_size=None)"}
    kernels: dict[str, dict[str, Any]] = {
        "softmax": {"kernel": "embedded", "scale": True},
        "dot_product": {"kernel": "dot"},
    }
    arguments = ("dim", "dim_inner", "norm_type", "norm_module", "norm_eps", "norm_momentum")
    return Conversion(
        "nl",
        _options(state, "conv_g.weight", norm=norm),
        rename(state, ours | {"bn": NORM, "norm": NORM}),
        defaults={"kernel": "embedded", "scale": True},
        undetermined=undetermined,
        constructor=_implied(*arguments, "zero_init_final_conv", "zero_init_final_norm")
        | {"instantiation": lambda name: kernels[name], "pool_size": _pool_size},
    )


def _pool_size(size: Any) -> dict[str, Any]:
    """SlowFast's pool_size as ``sub_sample``."""
    if size is None or tuple(size) == (1, 1, 1):
        return {"sub_sample": False}
    if tuple(size) != (1, 2, 2):
        raise ValueError(f"pool_size={tuple(size)} is not possible here: features are pooled by (1, 2, 2), or not.")
    return {"sub_sample": "input"}


def _timm(state: State) -> Conversion:
    """timm's NonLocalAttn (after BAT's), whose scale is that of the channels, C^-1/2, not of the inner ones."""
    channels = state["g.weight"].shape[1]
    return Conversion(
        "nl",
        _options(state, "g.weight", norm=True) | {"kernel": "embedded"},
        rename(state, {"t": "affinity.theta", "p": "affinity.phi", "g": "units.0.g", "z": OUT, "norm": NORM}),
        defaults={"scale": channels**-0.5},
        constructor=_implied("in_channels", "rd_ratio", "rd_channels", "rd_divisor")
        | {"use_scale": lambda use: {"scale": channels**-0.5 if use else False}},
    )


def _spatial_nl(state: State) -> Conversion:
    """SpatialNL of the CGNL repository."""
    return Conversion(
        "nl",
        _options(state, "g.weight", norm=True) | {"kernel": "embedded", "bias": False},
        rename(state, {"t": "affinity.theta", "p": "affinity.phi", "g": "units.0.g", "z": OUT, "bn": NORM}),
        defaults={"scale": False},
        constructor=_implied("inplanes", "planes") | {"use_scale": option("scale")},
    )


_NONLOCAL: dict[str, Callable[[State], Conversion]] = {
    "g.conv.weight": _mmcv,
    "g.0.conv.weight": _mmcv,
    "W.weight": _alexhex7,
    "W.0.weight": _alexhex7,
    "conv_g.weight": _slowfast,
    "norm.weight": _timm,
    "bn.weight": _spatial_nl,
}


def _options(state: State, signal: str, *, norm: bool) -> dict[str, Any]:
    """What all of these have in common; ``signal``: the weight of g."""
    inner = state[signal].shape[0]
    return {"inner": inner, "value": inner, "norm": "batch" if norm else "none", "bias": True, "gate": 1.0}


def _find_kernel(state: State, *, theta: str, project: str) -> dict[str, Any]:
    """The kernel, where the keys determine it: only two of four have theta and phi, and nothing else."""
    if project in state:
        return {"kernel": "concat"}
    return {} if theta in state else {"kernel": "gaussian"}


@reads("dnl")
def read_disentangled(state: State) -> Conversion:
    """Read a disentangled block of any repository.

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``dnl``.

    Raises:
        ValueError: a stage of several units, whose unary weights are not shared.
    """
    if "conv_query.weight" in state:
        return _dnl(state)
    if "conv_mask.weight" in state:
        return _mmseg(state)
    if any(key.startswith("stages.1.") for key in state):
        raise ValueError(
            "official module 'dnl' with several units has a unary weight per unit; load its units one by one."
        )
    stage = read_stage(state, block="dnl", terms={"w_2.weight": FIRST})
    keys = stage.keys | {"stages.0.w_m.weight": "affinity.unary.weight"}
    return Conversion("dnl", stage.options | {"whiten": False}, keys, constructor=stage.constructor)


# A bias of the unary scores shifts all of them alike, which a softmax does not see.
_MASK_BIAS = ("conv_mask.bias",)
_TEMPERATURE = "Cs**-0.5 / temperature, Cs the channels of theta, or 1 / temperature without a scale"


def _dnl(state: State) -> Conversion:
    """DNL's own repository: gamma on the pairwise term; the convolution after it, and its norm, are optional."""
    project, norm, value = "conv_out.weight" in state, "out_bn.weight" in state, state["conv_value.weight"].shape[0]
    inner = state["conv_query.weight"].shape[0]
    ours = {"conv_query": "affinity.theta", "conv_key": "affinity.phi", "conv_value": "units.0.g", "conv_out": OUT}
    options = {"inner": inner, "value": value, "norm": "batch" if norm else "none", "bias": True, "project": project}
    keys = rename(state, ours | {"out_bn": NORM}) | {"gamma": "affinity.gamma"}
    keys["conv_mask.weight"] = "affinity.unary.weight"
    arguments = ("inplanes", "planes", "use_gn", "lr_mult", "use_out", "out_bn", "with_gc", "with_unary", "dim")
    return Conversion(
        "dnl",
        options | {"gate": 1.0, "gamma": True, "whiten": True},
        keys,
        undetermined={"scale": _TEMPERATURE, "sub_sample": "'input' (downsample=True) or False"},
        zeros=(f"{OUT}.bias", *(() if "conv_value.bias" in state else ("units.0.g.bias",))),
        without_effect=_MASK_BIAS,
        constructor=dict.fromkeys(arguments, implied_by_shapes)
        | {
            "downsample": lambda down: {"sub_sample": "input" if down else False},
            "temperature": lambda t: {"scale": inner**-0.5 / t},
            "whiten_type": _whiten_type,
        },
    )


def _whiten_type(kinds: Any) -> dict[str, Any]:
    """DNL's whiten_type: only the mean over positions is ours."""
    if list(kinds) != ["channel"]:
        raise ValueError(f"whiten_type={list(kinds)} is not possible here: dnl whitens by ['channel'].")
    return {"whiten": True}


def _mmseg(state: State) -> Conversion:
    """mmsegmentation's DisentangledNonLocal2d, a NonLocal2d of mmcv with a unary term."""
    read = _mmcv({key: value for key, value in state.items() if not key.startswith("conv_mask.")})
    options = {key: value for key, value in read.options.items() if key != "kernel"}
    inner = options["inner"]
    return Conversion(
        "dnl",
        options | {"whiten": True},
        read.keys | {"conv_mask.weight": "affinity.unary.weight"},
        undetermined={"scale": f"{_TEMPERATURE}; the default temperature is 0.05"},
        zeros=read.zeros,
        without_effect=_MASK_BIAS,
        constructor=_implied("in_channels", "reduction", "norm_cfg", "conv_cfg", "mode")
        | {"temperature": lambda t: {"scale": inner**-0.5 / t}},
    )
