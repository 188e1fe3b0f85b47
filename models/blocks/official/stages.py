"""Modules of the SNL repositories (2108.02451, 1911.01059) and of those that they compare with: CGNL, CCNet, A2-Net."""

from collections.abc import Callable
from functools import partial
from typing import Any

from specvid.models.blocks.official.conversion import Conversion, State, implied_by_shapes, option, reads, rename

FIRST, SECOND, THIRD = "weights.0.weight", "weights.1.weight", "weights.2.weight"


def read_stage(state: State, *, block: str, terms: dict[str, str], **options: Any) -> Conversion:
    """Read a ``Stage``: t and p are shared; each unit has g, bn and its own weights.

    Args:
        state: the module's state dict.
        block: what the block is called here.
        terms: our key for each of the weights of a unit.
        **options: of our block.

    Returns:
        How it becomes a block.
    """
    units = len({key.split(".")[1] for key in state if key.startswith("stages.")})
    keys = {"t.weight": "affinity.theta.weight", "p.weight": "affinity.phi.weight"}
    for unit in range(units):
        theirs, ours = f"stages.{unit}.", f"units.{unit}."
        keys |= {theirs + "g.weight": ours + "g.weight"}
        keys |= {theirs + name: ours + key for name, key in terms.items()}
        keys |= {key: ours + "norm." + key.rsplit(".", 1)[1] for key in state if key.startswith(theirs + "bn.")}
    inner, value = state["t.weight"].shape[0], state["stages.0.g.weight"].shape[0]
    found = {"units": units, "inner": inner, "value": value, "gate": 1.0, "relu": True} | options
    return Conversion(block, found, keys, constructor=_OF_STAGES)


_OF_STAGES = dict.fromkeys(("inplanes", "planes", "stage_num"), implied_by_shapes) | {"relu": option("relu")}

_TERMS: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "snl": ("snl", {"w_1.weight": FIRST, "w_2.weight": SECOND}, {}),
    "ns": ("ns", {"w_2.weight": FIRST}, {}),
    "snl_2019": ("snl_2019", {"w_1.weight": FIRST, "w_2.weight": SECOND}, {"relu": False}),
    "gsnl_2019": ("gsnl", {"w_1.weight": FIRST, "w_2.weight": SECOND, "w_3.weight": THIRD}, {"relu": False}),
    "caylay": (
        "cayley",
        {"w_1.weight": FIRST, "w_2.weight": SECOND, "w_h.weight": "filter.mix.weight"},
        {"form": "published"},
    ),
}

_stage: Callable[[State], Conversion]
for _name, (_block, _terms, _options) in _TERMS.items():
    _stage = partial(read_stage, block=_block, terms=_terms, **_options)
    reads(_name, *(["cayley"] if _name == "caylay" else []))(_stage)


@reads("cgnl")
def read_compact(state: State) -> Conversion:
    """Read SpatialCGNL or SpatialCGNLx, which have the same keys.

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``cgnl``.
    """
    keys = rename(state, {"t": "affinity.theta", "p": "affinity.phi", "g": "units.0.g", "z": "units.0.weights.0"})
    keys |= rename(state, {"gn": "units.0.norm"})
    inner, per_group = state["g.weight"].shape[0], state["z.weight"].shape[1]
    constructor = dict.fromkeys(("inplanes", "planes", "groups", "is_sys", "is_norm"), implied_by_shapes)
    return Conversion(
        "cgnl",
        {"inner": inner, "value": inner, "groups": inner // per_group, "norm": "group", "gate": 1.0},
        keys,
        undetermined={
            "kernel": "'dot' (SpatialCGNL) or 'gaussian' (SpatialCGNLx, with its order=...)",
            "scale": "its use_scale, False by default",
        },
        constructor=constructor | {"use_scale": option("scale"), "order": option("order")},
    )


@reads("cc")
def read_criss_cross(state: State) -> Conversion:
    """Read CrissCrossAttention, whose gamma is our gate.

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``cc``.
    """
    keys = rename(state, {"query_conv": "affinity.theta", "key_conv": "affinity.phi", "value_conv": "units.0.g"})
    inner = state["query_conv.weight"].shape[0]
    return Conversion(
        "cc",
        {"inner": inner},
        keys | {"gamma": "units.0.gate"},
        defaults={"recurrence": 1},
        constructor={"in_dim": implied_by_shapes, "recurrence": option("recurrence")},
    )


@reads("a2")
def read_double_attention(state: State) -> Conversion:
    """Read ``a2`` of the SNL repository (a relu product), or A2-Net's own.

    Args:
        state: the module's state dict.

    Returns:
        How it becomes ``relu_dot`` or ``a2``.
    """
    if "convA.weight" not in state:
        return read_stage(state, block="relu_dot", terms={"w_2.weight": FIRST})
    ours = {"convA": "units.0.g", "convB": "affinity.phi", "convV": "affinity.theta"}
    keys = rename(state, ours | {"conv_reconstruct": "units.0.weights.0"})
    options = {"inner": state["convB.weight"].shape[0], "value": state["convA.weight"].shape[0], "norm": "none"}
    return Conversion(
        "a2",
        options | {"bias": True, "gate": 1.0, "residual": False},
        keys,
        constructor=dict.fromkeys(("in_channels", "c_m", "c_n", "reconstruct"), implied_by_shapes),
    )
