"""The registry of blocks: for each name a function that builds the block, and its options with their defaults."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from specvid.registry import Registry, check_options


@dataclass(frozen=True)
class BlockEntry:
    """One entry of the registry.

    Args:
        name: what the block is called.
        build: ``build(channels, dims=dims, **options)`` makes the block, given a value for every option.
        options: every option with its default.
        kind: ``nonlocal`` (affinity x filter), ``channel`` or ``long-range``.
    """

    name: str
    build: Callable[..., nn.Module]
    options: dict[str, Any] = field(default_factory=dict)
    kind: str = "nonlocal"


@dataclass(frozen=True)
class BlockConfig:
    """What a block was created with; :func:`create_block` leaves it in ``block.config``.

    Args:
        name: that of the block.
        channels: C.
        dims: 1, 2 or 3.
        options: those that were given; all others have their defaults.
    """

    name: str
    channels: int
    dims: int
    options: dict[str, Any]


BLOCKS: Registry[BlockEntry] = Registry("block")

_INTEGER_OPTIONS = ("channels", "reduction", "units", "recurrence", "groups", "order")


def register_block(name: str, *, kind: str) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Enter a class ``Block(channels, *, dims=3, options...)`` into the registry.

    Args:
        name: what the block is called.
        kind: see :class:`BlockEntry`.

    Returns:
        A decorator for the class.

    Raises:
        ValueError: the name is taken.
    """

    def decorate(cls: type[nn.Module]) -> type[nn.Module]:
        parameters = inspect.signature(cls).parameters
        options = {key: p.default for key, p in parameters.items() if key not in ("channels", "dims")}
        BLOCKS.register(name)(BlockEntry(name, cls, options, kind))
        return cls

    return decorate


def list_blocks(kind: str | None = None) -> list[str]:
    """The names that :func:`create_block` knows.

    Args:
        kind: ``nonlocal``, ``channel`` or ``long-range``: only these.

    Returns:
        Names in alphabetical order.
    """
    return sorted(name for name, entry in BLOCKS.items() if kind in (None, entry.kind))


def block_options(name: str) -> dict[str, Any]:
    """The options of a block.

    Args:
        name: one of :func:`list_blocks`.

    Returns:
        Every option with its default.

    Raises:
        ValueError: no block has this name.
    """
    return dict(BLOCKS.find(name).options)


def create_block(name: str, channels: int, *, dims: int = 3, **options: Any) -> nn.Module:
    """Build a block for features (B, C, *dims); it starts as the identity.

    Args:
        name: one of :func:`list_blocks`.
        channels: C of the features.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        **options: those of :func:`block_options`. Every nonlocal block has ``mode`` ("st" space-time, "s" space, "t"
            time, "t+s" one after the other), ``reduction`` (C / Cs) or ``inner`` (Cs) and ``value`` (D), ``units`` that
            share the affinity, ``recurrence``, ``norm`` ("batch", "group", "none"), ``relu``, ``gate`` (start
            value), ``gating`` ("scalar", "channel", "norm"),
            ``bias``, ``groups``, ``project`` and ``residual``; ``family/`` has those of single blocks, and the files
            in ``channel/`` and ``long_range/`` those of the others.

    Returns:
        A module with ``forward(x, mask=None)`` from (B, C, *dims) to the same shape; ``config`` is what it was
        created with.

    Raises:
        ValueError: an unknown block or option (the message has the nearest right one), or a value that is not possible
            (it has the rule).
    """
    known = block_options(name)
    check_options(f"block {name!r}", options, known, words=("sub_sample",))
    values = known | options
    for option, value in (("channels", channels), *values.items()):
        integer = isinstance(value, int) and not isinstance(value, bool)
        if option in _INTEGER_OPTIONS and not (integer and value >= 1):
            raise ValueError(f"{option}={value!r} is not possible for block {name!r}: it is an integer from 1 up.")
    try:
        block = BLOCKS[name].build(channels, dims=dims, **values)
    except TypeError as error:  # a value of a kind that no check of the block expects, e.g. gate=(1, 2)
        given = ", ".join(f"{option}={value!r}" for option, value in options.items())
        if not given:
            raise
        raise ValueError(
            f"{given} of block {name!r}: a value is of another kind than its option takes ({error}). "
            f"`specvid models blocks {name}` lists them."
        ) from error
    block.config = BlockConfig(name, channels, dims, dict(options))  # type: ignore[assignment]
    return block
