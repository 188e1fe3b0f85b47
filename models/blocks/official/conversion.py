"""How a published module becomes a block of ours: its keys, and what its weights determine of its options."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from specvid.errors import unknown
from specvid.models.blocks.registry import create_block
from specvid.registry import Registry

State = Mapping[str, Tensor]
Translation = Callable[[Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Conversion:
    """How one kind of state dict is read.

    Args:
        block: what the block is called here.
        options: those of our block that the weights determine.
        keys: our key for each of theirs.
        defaults: options that the weights do not determine, by the defaults of their constructor.
        undetermined: options that the weights do not determine and that have no default, and what can be given.
        zeros: keys of ours for parameters that they do not have and that are 0 there.
        without_effect: keys of theirs that cannot change the output.
        constructor: arguments of their constructor, and the options of ours that a value means.
        channels: C, where no weight of g (D, C, 1, ...) determines it.
        changes: what is done to a tensor before it is ours, by our key.
        create: builds the module, given dims, channels and options; a block if not given.
    """

    block: str
    options: dict[str, Any]
    keys: dict[str, str]
    defaults: dict[str, Any] = field(default_factory=dict)
    undetermined: dict[str, str] = field(default_factory=dict)
    zeros: tuple[str, ...] = ()
    without_effect: tuple[str, ...] = ()
    constructor: Mapping[str, Translation] = field(default_factory=dict)
    channels: int | None = None
    changes: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    create: Callable[..., nn.Module] | None = None


OFFICIAL_NAMES = {"relu_dot": "a2", "cayley": "caylay", "gsnl": "gsnl_2019"}
"""What the modules that become a block are called, where it is not the name of the block."""

_OURS = (".gate", "num_batches_tracked", "temperature")  # buffers and parameters that no published module has

READERS: Registry[Callable[[State], Conversion]] = Registry("official module")

reads = READERS.register
"""Decorator for a function that reads the state dict of an official module: what ``from_official`` calls it."""


def implied_by_shapes(_: Any) -> Mapping[str, Any]:
    """Translation of a constructor argument that the shapes of the weights imply.

    Args:
        _: its value.

    Returns:
        No options.
    """
    return {}


def option(name: str) -> Translation:
    """Translation of a constructor argument that is an option of ours under another name.

    Args:
        name: of the option.

    Returns:
        The translation.
    """
    return lambda value: {name: value}


def rename(state: State, prefixes: Mapping[str, str]) -> dict[str, str]:
    """Our key for each of theirs.

    Args:
        state: their state dict.
        prefixes: our module for each of theirs, by the beginning of their keys.

    Returns:
        Keys of parameters and buffers that lie in these modules.
    """
    found = {}
    for key in state:
        for theirs, ours in prefixes.items():
            if key.startswith(f"{theirs}."):
                found[key] = f"{ours}.{key.removeprefix(f'{theirs}.')}"
    return found


def read_official(name: str, state: State) -> Conversion:
    """Read the state dict of an official module.

    Args:
        name: one that :func:`from_official` knows.
        state: the module's own keys.

    Returns:
        How it becomes a block.

    Raises:
        ValueError: an unknown name, or keys that are not those of such a module.
    """
    reader = READERS.find(name)
    try:
        conversion = reader(state)
        missing = [theirs for theirs in conversion.keys if theirs not in state]
        if missing:
            raise KeyError(missing[0])
    except KeyError as error:
        raise ValueError(
            f"state dict of official module {name!r} has no key {error}; it has {', '.join(sorted(state)[:8])} ... "
            "Give the block's own state dict (cut the keys of the whole model to those of the block)."
        ) from None
    return conversion


def convert_tensors(name: str, conversion: Conversion, state: State, own: State) -> dict[str, Tensor]:
    """The tensors of a block of ours.

    Args:
        name: what the official module is called, for messages.
        conversion: how its state dict is read.
        state: its state dict.
        own: the state dict of our block, for its keys and shapes.

    Returns:
        Tensors by our keys, all but the gate where the module has none.

    Raises:
        ValueError: a key of either has no counterpart, or a shape differs.
    """
    changes = conversion.changes
    loaded = {
        ours: _fit(changes[ours](state[theirs]) if ours in changes else state[theirs], own[ours])
        for theirs, ours in conversion.keys.items()
        if ours in own
    }
    loaded |= {key: torch.zeros_like(own[key]) for key in conversion.zeros if key in own and key not in loaded}
    unread = {theirs for theirs in state if conversion.keys.get(theirs) not in own} - {*conversion.without_effect}
    unfilled = {key for key in own if key not in loaded and not key.endswith(_OURS)}
    wrong = {key for key, value in loaded.items() if value.shape != own[key].shape}
    if unread or unfilled or wrong:
        raise ValueError(
            f"state dict does not fit official module {name!r}: unread keys {sorted(unread)}, unfilled parameters "
            f"{sorted(unfilled)}, of another shape {sorted(wrong)}. Check the name and the options."
        )
    return loaded


def _fit(value: Tensor, like: Tensor) -> Tensor:
    """A tensor in the shape of another: 1x1 convolutions and linear layers alike, kernels of an image in the middle
    frame of those of a video, anything else as it is.
    """
    if value.numel() == like.numel():
        return value.reshape(like.shape)
    if like.dim() == value.dim() + 1 >= 5 and value.shape == (*like.shape[:-3], *like.shape[-2:]):
        video = value.new_zeros(like.shape)
        video[..., like.shape[-3] // 2, :, :] = value
        return video
    return value


def from_official(
    name: str, state_dict: State, *, constructor: Mapping[str, Any] | None = None, **options: Any
) -> nn.Module:
    """Build the block that an official module is, with its weights, in eval mode.

    Args:
        name: ``snl``, ``nl``, ``ns``, ``a2``, ``dnl``, ``caylay`` (or ``cayley``), ``cgnl``, ``cc``, ``snl_2019``,
            ``gsnl_2019``, ``se``, ``eca``, ``gc``, ``cbam``, ``ge``, ``bot_mhsa``, ``halo``, ``gnconv``, ``pdc``,
            ``ham_nmf``, ``ham_vq`` or ``ham_cd``; of convolutions ``dcd``, ``dynamic_conv``, ``drconv``,
            ``linear_conv``, ``phc`` or ``ghost``; of stages ``sda`` or ``sda_stage``.
        state_dict: the module's own keys, e.g. ``t.weight`` and ``stages.0.g.weight``; a ``module.`` prefix is taken
            off.
        constructor: what the module was made with, by the names of its own constructor, e.g. ``{"use_scale": False,
            "mode": "dot_product"}`` of mmcv's NonLocal.
        **options: the same by our names, e.g. ``relu=True`` (stages of 2019), ``recurrence=2`` (cc), ``kernel="dot"``,
            ``scale=False``, ``dims=3`` (a block of images, for video). What neither determines is the default of the
            module's constructor, where the keys show which module it is. They do not for ``cgnl`` (``kernel`` and
            ``scale`` must be given), AlexHex7's ``nl`` with theta and phi (``kernel``), SlowFast's (``sub_sample``),
            ``dnl`` of the other repositories (``scale``), ``eca`` (``channels``), ``ge`` (``extent``) and ``halo``
            (``block`` and ``halo``).

    Returns:
        A block (see :func:`create_block`), or a convolution (`specvid.models.convolutions.create_convolution`), for
        the dims of the weights: 2 for (D, C, 1, 1), 3 for (D, C, 1, 1, 1); channel and long-range blocks and
        convolutions have 2.

    Raises:
        ValueError: an unknown name, a state dict whose keys are not those of such a module, or an option that must be
            given is not.
    """
    state = {key.removeprefix("module."): value for key, value in state_dict.items()}
    conversion = read_official(name, state)
    for argument in constructor or {}:
        if argument not in conversion.constructor:
            raise unknown(f"constructor argument of official module {name!r}", argument, conversion.constructor)
    meant: dict[str, Any] = {}
    for argument, value in (constructor or {}).items():
        meant |= conversion.constructor[argument](value)
    given = meant | options
    for name_of_option, choices in conversion.undetermined.items():
        if name_of_option not in given:
            raise ValueError(
                f"state dict of official module {name!r} does not determine {name_of_option!r}: give "
                f"from_official({name!r}, state_dict, {name_of_option}=...), which is {choices}."
            )
    defaults = conversion.defaults
    if (conversion.options | given).get("kernel", "embedded") != "embedded":  # no other kernel is scaled
        defaults = {key: value for key, value in defaults.items() if key != "scale"}
    chosen = {"dims": 2, "channels": conversion.channels} | defaults | conversion.options
    if conversion.channels is None and "channels" not in given:
        chosen |= _channels(conversion, state)
    create = conversion.create or partial(create_block, conversion.block)
    block = create(**chosen | given)
    tensors = convert_tensors(name, conversion, state, block.state_dict())
    block.load_state_dict(tensors, strict=False)
    return block.eval()


def _channels(conversion: Conversion, state: State) -> dict[str, int]:
    """C and the number of dimensions, by the weight (D, C, 1, ...) of g."""
    signal = next(state[theirs] for theirs, ours in conversion.keys.items() if ours == "units.0.g.weight")
    return {"channels": signal.shape[1], "dims": signal.dim() - 2}
