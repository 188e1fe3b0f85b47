"""Building a nonlocal block from one entry of the family: affinity and filters, then the units around them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from specvid.models.blocks.affinities.base import Affinity
from specvid.models.blocks.block import NonlocalBlock
from specvid.models.blocks.factorised import Factorised
from specvid.models.blocks.filters.base import Filter
from specvid.models.blocks.registry import BLOCKS, BlockEntry
from specvid.models.blocks.unit import Unit


@dataclass(frozen=True)
class Widths:
    """The sizes that affinities and filters are built with.

    Args:
        channels: C of the input.
        inner: Cs of the affinity.
        value: D of the signal that is filtered.
        units: how many units share the affinity.
        bias: 1x1 convolutions have a bias.
    """

    channels: int
    inner: int
    value: int
    units: int
    bias: bool


Parts = tuple[Affinity, list[Filter]]
"""The affinity of a block, and one filter per unit."""

COMMON_OPTIONS: dict[str, Any] = {
    "mode": "st",
    "reduction": 2,
    "inner": None,
    "value": None,
    "units": 1,
    "recurrence": 1,
    "norm": "batch",
    "relu": False,
    "gate": 0.0,
    "gating": "scalar",
    "bias": False,
    "project": True,
    "groups": 1,
    "residual": True,
}
"""What every nonlocal block can be built with, and the defaults where the block has none of its own."""

_UNIT_OPTIONS = [name for name in inspect.signature(Unit).parameters if name in COMMON_OPTIONS and name != "value"]


def register_nonlocal(name: str, **defaults: Any) -> Callable[[Callable[..., Parts]], Callable[..., Parts]]:
    """Enter a nonlocal block into the registry.

    Args:
        name: what the block is called.
        **defaults: replace those of :data:`COMMON_OPTIONS`.

    Returns:
        A decorator for a function ``make_parts(widths, *, own options...) -> (affinity, filters)``.

    Raises:
        ValueError: the name is taken.
    """

    def decorate(make_parts: Callable[..., Parts]) -> Callable[..., Parts]:
        parameters = inspect.signature(make_parts).parameters
        own = {option: parameter.default for option, parameter in parameters.items() if option != "widths"}
        build = partial(_build, name, make_parts, list(own))
        BLOCKS.register(name)(BlockEntry(name, build, COMMON_OPTIONS | defaults | own))
        return make_parts

    return decorate


def _build(
    name: str, make_parts: Callable[..., Parts], own: list[str], channels: int, *, dims: int, **values: Any
) -> nn.Module:
    """The block ``name``, given a value for each option; ``own`` are the options of ``make_parts``."""
    if values["mode"] == "t+s":
        if dims != 3:
            raise ValueError(
                f"mode='t+s' needs time and space, which dims={dims} does not have; use mode='st' or dims=3."
            )
        temporal, spatial = (_build(name, make_parts, own, channels, dims=dims, **values | {"mode": m}) for m in "ts")
        return Factorised(temporal, spatial)  # type: ignore[arg-type]
    widths = _widths(name, channels, values)
    affinity, filters = make_parts(widths, **{option: values[option] for option in own})
    unit_options = {option: values[option] for option in _UNIT_OPTIONS} | {"value": widths.value}
    mode, recurrence = values["mode"], values["recurrence"]
    return NonlocalBlock(
        channels, affinity, filters, dims=dims, mode=mode, recurrence=recurrence, unit_options=unit_options
    )


def _widths(name: str, channels: int, values: dict[str, Any]) -> Widths:
    """The sizes that options ask for."""
    inner = values["inner"] if values["inner"] is not None else channels // values["reduction"]
    value = values["value"] if values["value"] is not None else (inner if values["project"] else channels)
    for option, width in (("inner", inner), ("value", value)):
        if not isinstance(width, int) or width < 1:
            raise ValueError(
                f"{option}={width!r} of block {name!r} is not possible with {channels} channels and "
                f"reduction={values['reduction']}: it is an integer from 1 up; use a smaller reduction."
            )
    return Widths(channels, inner, value, values["units"], bool(values["bias"]))
