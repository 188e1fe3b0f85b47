"""Published weights: builds a block that computes what the module of an official repository computes, from the state
dict of that module.

    repository                             names                           keys
    SNL_ICCV2021 (2108.02451)              snl, nl, ns, a2, dnl, caylay    t, p, stages.i.{g, w_1, w_2, w_m, w_h, bn}
                                           cgnl                            t, p, g, z, gn
                                           cc                              query_conv, key_conv, value_conv, gamma
    spectral-nonlocal-block (1911.01059)   snl_2019, gsnl_2019             t, p, stages.i.{g, w_1, w_2, w_3, bn}
    mmcv's NonLocal1d, 2d, 3d              nl                              {g, theta, phi, conv_out, ...}.conv
    Double-Attention-Network (1810.11579)  a2                              convA, convB, convV, conv_reconstruct

The gate of the block is 1 where the published module has none. The repository's ``a2`` is a relu product without
normalisation and becomes the block ``relu_dot``; its ``caylay`` is a polynomial and becomes ``cayley`` with
``form="published"``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from specvid.errors import unknown
from specvid.models.blocks.registry import create_block

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Conversion:
    """How one kind of checkpoint is read.

    Args:
        block: what the block is called here.
        options: what it is built with.
        keys: our key for each of theirs.
    """

    block: str
    options: dict[str, Any]
    keys: dict[str, str]


def from_official(name: str, state_dict: State, **options: Any) -> nn.Module:
    """Build the block that an official module is, with its weights, in eval mode.

    Args:
        name: ``snl``, ``nl``, ``ns``, ``a2``, ``dnl``, ``caylay`` (or ``cayley``), ``cgnl``, ``cc``, ``snl_2019`` or
            ``gsnl_2019``.
        state_dict: the module's own keys, e.g. ``t.weight`` and ``stages.0.g.weight``; a ``module.`` prefix is taken
            off.
        **options: what the weights do not tell, e.g. ``relu=True`` (stages of 2019), ``recurrence=2`` (cc),
            ``kernel="dot"`` or ``scale=False`` (mmcv, whose own defaults are the embedded Gaussian and ``use_scale``),
            ``gamma`` and ``order`` (cgnl), ``dims=3`` (a block of images, for video).

    Returns:
        A block (see :func:`create_block`) for the dims of the weights: 2 for (D, C, 1, 1), 3 for (D, C, 1, 1, 1).

    Raises:
        ValueError: an unknown name, or a state dict whose keys are not those of such a module.
    """
    if name not in _READERS:
        raise unknown("official module", name, _READERS)
    state = {key.removeprefix("module."): value for key, value in state_dict.items()}
    try:
        conversion = _READERS[name](state)
        read = {ours: state[theirs] for theirs, ours in conversion.keys.items()}
    except KeyError as missing:
        raise ValueError(
            f"state dict of official module {name!r} has no key {missing}; it has {', '.join(sorted(state)[:8])} ... "
            f"Give the block's own "
            "state dict (cut the keys of the whole model to those of the block)."
        ) from None
    signal = read["units.0.g.weight"]  # (D, C, 1, ...)
    if options.get("kernel", "embedded") != "embedded":  # mmcv scales no other, and weights do not tell which it is
        conversion.options.pop("scale", None)
    chosen = {"dims": signal.dim() - 2} | conversion.options | options
    block = create_block(conversion.block, signal.shape[1], **chosen)
    own = block.state_dict()
    loaded = {ours: value.reshape(own[ours].shape) for ours, value in read.items() if ours in own}
    unread = {theirs for theirs in state if conversion.keys.get(theirs) not in own}
    unfilled = {key for key in own if key not in loaded and not key.endswith((".gate", "num_batches_tracked"))}
    if unread or unfilled:
        raise ValueError(
            f"state dict does not fit official module {name!r}: unread keys {sorted(unread)}, unfilled parameters "
            f"{sorted(unfilled)}. Check the name and the options."
        )
    block.load_state_dict(loaded, strict=False)
    return block.eval()


def _stage(
    block: str, terms: dict[str, str], extra: dict[str, str] | None = None, **options: Any
) -> Callable[[State], Conversion]:
    """Reads a ``Stage``: t and p shared, then per unit g, bn and the weights in ``terms`` (their name -> our key)."""

    def read(state: State) -> Conversion:
        units = len({key.split(".")[1] for key in state if key.startswith("stages.")})
        keys = {"t.weight": "affinity.theta.weight", "p.weight": "affinity.phi.weight"}
        for unit in range(units):
            theirs, ours = f"stages.{unit}.", f"units.{unit}."
            keys |= {theirs + "g.weight": ours + "g.weight"}
            keys |= {theirs + name: ours + key for name, key in terms.items()}
            keys |= {key: ours + "norm." + key.rsplit(".", 1)[1] for key in state if key.startswith(theirs + "bn.")}
        keys |= extra or {}
        inner, value = state["t.weight"].shape[0], state["stages.0.g.weight"].shape[0]
        return Conversion(
            block, {"units": units, "inner": inner, "value": value, "gate": 1.0, "relu": True} | options, keys
        )

    return read


_FIRST, _SECOND, _THIRD = "weights.0.weight", "weights.1.weight", "weights.2.weight"


def _nonlocal(state: State) -> Conversion:
    """``nl`` of the SNL repository, or mmcv's NonLocal."""
    sub_sample = "g.0.conv.weight" in state  # nn.Sequential(g, max_pool)
    if "g.conv.weight" not in state and not sub_sample:
        return _stage("nl", {"w_2.weight": _FIRST})(state)
    kernel = (
        "concat"
        if "concat_project.conv.weight" in state
        else "embedded"
        if "theta.conv.weight" in state
        else "gaussian"
    )
    ours = {
        "g": "units.0.g",
        "conv_out": "units.0.weights.0",
        "theta": "affinity.theta",
        "phi": "affinity.phi",
        "concat_project": "affinity.project",
    }
    keys = {key: f"{ours[key.split('.')[0]]}.{key.rsplit('.', 1)[1]}" for key in state}
    inner = state["g.0.conv.weight" if sub_sample else "g.conv.weight"].shape[0]
    options = {"kernel": kernel, "inner": inner, "value": inner, "norm": "none", "bias": True, "gate": 1.0}
    options |= {"sub_sample": sub_sample} | ({"scale": True} if kernel == "embedded" else {})
    return Conversion("nl", options, keys)


def _double_attention(state: State) -> Conversion:
    """``a2`` of the SNL repository (a relu product), or A2-Net's own."""
    if "convA.weight" not in state:
        return _stage("relu_dot", {"w_2.weight": _FIRST})(state)
    ours = {
        "convA": "units.0.g",
        "convB": "affinity.phi",
        "convV": "affinity.theta",
        "conv_reconstruct": "units.0.weights.0",
    }
    keys = {key: f"{ours[key.split('.')[0]]}.{key.rsplit('.', 1)[1]}" for key in state}
    inner, value = state["convB.weight"].shape[0], state["convA.weight"].shape[0]
    return Conversion(
        "a2", {"inner": inner, "value": value, "norm": "none", "bias": True, "gate": 1.0, "residual": False}, keys
    )


def _compact(state: State) -> Conversion:
    """``cgnl``: SpatialCGNLx."""
    keys = {"t.weight": "affinity.theta.weight", "p.weight": "affinity.phi.weight", "g.weight": "units.0.g.weight"}
    keys |= {"z.weight": "units.0.weights.0.weight", "gn.weight": "units.0.norm.weight", "gn.bias": "units.0.norm.bias"}
    inner, per_group = state["g.weight"].shape[0], state["z.weight"].shape[1]
    return Conversion("cgnl", {"inner": inner, "value": inner, "groups": inner // per_group, "gate": 1.0}, keys)


def _criss_cross(state: State) -> Conversion:
    """``cc``: CrissCrossAttention; its gamma is our gate."""
    ours = {"query_conv": "affinity.theta", "key_conv": "affinity.phi", "value_conv": "units.0.g"}
    keys = {key: f"{ours[key.split('.')[0]]}.{key.rsplit('.', 1)[1]}" for key in state if key != "gamma"} | {
        "gamma": "units.0.gate"
    }
    return Conversion("cc", {"inner": state["query_conv.weight"].shape[0], "recurrence": 1}, keys)


_CAYLEY = _stage(
    "cayley", {"w_1.weight": _FIRST, "w_2.weight": _SECOND, "w_h.weight": "filter.mix.weight"}, form="published"
)
_DNL = _stage("dnl", {"w_2.weight": _FIRST, "w_m.weight": "affinity.unary.weight"}, whiten=False)


def _disentangled(state: State) -> Conversion:
    """``dnl``: whose unary weight belongs to the unit there and to the affinity here, so that a stage has one unit."""
    if any(key.startswith("stages.1.") for key in state):
        raise ValueError(
            "official module 'dnl' with several units has a unary weight per unit; load its units one by one."
        )
    conversion = _DNL(state)
    keys = {key: ours.removeprefix("units.0.") if "affinity" in ours else ours for key, ours in conversion.keys.items()}
    return Conversion(conversion.block, conversion.options, keys)


_READERS: dict[str, Callable[[State], Conversion]] = {
    "snl": _stage("snl", {"w_1.weight": _FIRST, "w_2.weight": _SECOND}),
    "nl": _nonlocal,
    "ns": _stage("ns", {"w_2.weight": _FIRST}),
    "a2": _double_attention,
    "dnl": _disentangled,
    "caylay": _CAYLEY,
    "cayley": _CAYLEY,
    "cgnl": _compact,
    "cc": _criss_cross,
    "snl_2019": _stage("snl_2019", {"w_1.weight": _FIRST, "w_2.weight": _SECOND}, relu=False),
    "gsnl_2019": _stage("gsnl", {"w_1.weight": _FIRST, "w_2.weight": _SECOND, "w_3.weight": _THIRD}, relu=False),
}
