"""The registry of blocks: a name, a function that chooses affinity and filter, and the options that the block is made
with by default."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from specvid.errors import unknown
from specvid.models.blocks.affinities.base import Affinity
from specvid.models.blocks.block import NonlocalBlock, Unit
from specvid.models.blocks.factorised import Factorised
from specvid.models.blocks.filters.base import Filter

Pair = tuple[Affinity, list[Filter]]


@dataclass(frozen=True)
class Widths:
    """The sizes a block is built with: C of the input, ``inner`` Cs of the affinity, ``value`` D of the signal, the
    number of ``units``, biases."""

    channels: int
    inner: int
    value: int
    units: int
    bias: bool


@dataclass(frozen=True)
class BlockSpec:
    """One entry: ``choose(widths, **options) -> (affinity, filters)`` and the defaults of the common options."""

    name: str
    choose: Callable[..., Pair]
    defaults: dict[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """Every option with its default value."""
        own = {name: p.default for name, p in inspect.signature(self.choose).parameters.items() if name != "widths"}
        return COMMON | self.defaults | own


COMMON: dict[str, Any] = {
    "mode": "st",
    "reduction": 2,
    "inner": None,
    "value": None,
    "units": 1,
    "recurrence": 1,
    "norm": "batch",
    "relu": False,
    "gate": 0.0,
    "bias": False,
    "project": True,
    "groups": 1,
    "residual": True,
}
_UNIT_OPTIONS = tuple(
    name for name in inspect.signature(Unit.__init__).parameters if name in COMMON and name != "value"
)

_WHOLE = ("channels", "reduction", "units", "recurrence", "groups", "order")

BLOCKS: dict[str, BlockSpec] = {}


def register_block(name: str, **defaults: Any) -> Callable[[Callable[..., Pair]], Callable[..., Pair]]:
    """Enter ``choose(widths, *, options...) -> (affinity, filters)`` as block ``name``; ``defaults`` replace those of
    the common options."""

    def enter(choose: Callable[..., Pair]) -> Callable[..., Pair]:
        BLOCKS[name] = BlockSpec(name, choose, defaults)
        return choose

    return enter


def list_blocks() -> list[str]:
    """Names that :func:`create_block` knows."""
    return sorted(BLOCKS)


def block_options(name: str) -> dict[str, Any]:
    """Every option of a block with its default.

    Raises:
        ValueError: no block has this name.
    """
    if name not in BLOCKS:
        raise unknown("block", name, BLOCKS)
    return BLOCKS[name].options


def create_block(name: str, channels: int, *, dims: int = 3, **options: Any) -> nn.Module:
    """Build a nonlocal block for features (B, C, *dims); it starts as the identity.

    Args:
        name: one of :func:`list_blocks`.
        channels: C of the features.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        **options: those of the block itself (see ``family.py``), and those of every block:
            ``mode`` ("st" space-time, "s" space, "t" time, "t+s" one after the other), ``reduction`` (C / Cs) or
            ``inner`` (Cs) and ``value`` (D),
            ``units`` that share the affinity, ``recurrence``, ``norm`` ("batch", "group", "none"), ``relu``, ``gate``
            (start value), ``bias``,
            ``groups``, ``project``, ``residual``.

    Returns:
        A module with ``forward(x, mask=None)`` from (B, C, *dims) to the same shape.

    Raises:
        ValueError: an unknown block or option (with the nearest right one), or a value that is not possible (with the
            rule).
    """
    known = block_options(name)
    for option in options:
        if option not in known:
            raise unknown(f"option of block {name!r}", option, known)
    values = known | options
    _check_whole(name, channels, values)
    if values["mode"] == "t+s":
        parts = [create_block(name, channels, dims=dims, **(options | {"mode": mode})) for mode in _checked_parts(dims)]
        return Factorised(*parts)  # type: ignore[arg-type]
    widths = _widths(name, channels, values)
    own = {
        option: values[option]
        for option in inspect.signature(BLOCKS[name].choose).parameters
        if option not in ("widths",)
    }
    affinity, filters = BLOCKS[name].choose(widths, **own)
    unit_options = {option: values[option] for option in _UNIT_OPTIONS} | {"value": widths.value}
    return NonlocalBlock(
        channels,
        affinity,
        filters,
        dims=dims,
        mode=values["mode"],
        recurrence=values["recurrence"],
        unit_options=unit_options,
    )


def _check_whole(name: str, channels: int, values: dict[str, Any]) -> None:
    for option, value in (("channels", channels), *values.items()):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if option in _WHOLE and not (whole and value >= 1):
            raise ValueError(f"{option}={value!r} is not possible for block {name!r}: it is a whole number from 1 up.")


def _checked_parts(dims: int) -> tuple[str, str]:
    if dims != 3:
        raise ValueError(f"mode='t+s' needs time and space, which dims={dims} does not have; use mode='st' or dims=3.")
    return "t", "s"


def _widths(name: str, channels: int, values: dict[str, Any]) -> Widths:
    inner = values["inner"] if values["inner"] is not None else channels // values["reduction"]
    value = values["value"] if values["value"] is not None else (inner if values["project"] else channels)
    for option, width in (("inner", inner), ("value", value)):
        if not isinstance(width, int) or width < 1:
            raise ValueError(
                f"{option}={width!r} of block {name!r} is not possible with {channels} channels and "
                f"reduction={values['reduction']}: "
                "it is a whole number from 1 up; use a smaller reduction."
            )
    return Widths(channels, inner, value, values["units"], bool(values["bias"]))
