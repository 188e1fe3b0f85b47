"""What can be put into a network, by name: blocks, parts and replacements of convolutions, with their options."""

from __future__ import annotations

import fnmatch
import inspect
from dataclasses import dataclass
from typing import Any

import torch

from specvid.errors import nearest
from specvid.models.about import count_parameters
from specvid.models.blocks import block_options, create_block, list_blocks
from specvid.models.blocks.registry import BLOCKS
from specvid.models.convolutions import CONVOLUTIONS, convolution_options, create_convolution, list_convolutions
from specvid.models.insertion.parts import create_part, list_parts, part_options
from specvid.models.stages import STAGE_WRAPPERS

CHANNELS = 256
_GIVEN = ("channels", "blocks")  # by the stage


@dataclass(frozen=True)
class Insertable:
    """One thing that can be put into a network.

    Attributes:
        name: In the grammar.
        kind: ``nonlocal``, ``channel``, ``long-range``, ``convolution``, ``stage`` or ``part``.
        start: What it does to a trained network when it is fresh: ``identity``, ``exact``, ``nearest``, ``part``, or
            ``changes``.
        parameters: At 256 channels in a video network; of a convolution of 3 x 3 x 3 positions, of a stage of
            three blocks.
        options: Each with its default.
    """

    name: str
    kind: str
    start: str
    parameters: int
    options: dict[str, Any]


def insertables(pattern: str = "") -> list[Insertable]:
    """All blocks, convolutions and parts, or some of them.

    Args:
        pattern: Part of a name or kind, or a pattern with ``*`` or ``?``; all if empty.

    Returns:
        They, by kind and name.

    Raises:
        ValueError: None fits.
    """
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        found = [*map(_block, list_blocks()), *map(_convolution, list_convolutions()), *map(_part, list_parts())]
        found += map(_stage, STAGE_WRAPPERS)
    glob = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    fitting = [one for one in found if fnmatch.fnmatchcase(one.name, glob) or fnmatch.fnmatchcase(one.kind, glob)]
    if not fitting:
        hint = nearest(pattern.strip("*"), [one.name for one in found])
        raise ValueError(f"pattern {pattern!r} fits no block, convolution or part.{hint}")
    order = ("nonlocal", "channel", "long-range", "convolution", "stage", "part")
    return sorted(fitting, key=lambda one: (order.index(one.kind), one.name))


def _block(name: str) -> Insertable:
    # functions of the spectrum have no default
    given: dict[str, Any] = {"function": torch.exp} if block_options(name).get("function", "") is None else {}
    module = create_block(name, CHANNELS, **given)
    return Insertable(name, BLOCKS[name].kind, "identity", count_parameters(module), block_options(name))


def _convolution(name: str) -> Insertable:
    layer = create_convolution(name, CHANNELS)
    start = CONVOLUTIONS[name].build.start
    return Insertable(name, "convolution", start, count_parameters(layer), convolution_options(name))


def _stage(name: str) -> Insertable:
    cls = STAGE_WRAPPERS[name]
    options = {key: one.default for key, one in inspect.signature(cls).parameters.items() if key not in _GIVEN}
    return Insertable(name, "stage", "identity", count_parameters(cls(CHANNELS, blocks=3)), options)


def _part(name: str) -> Insertable:
    return Insertable(name, "part", "changes", count_parameters(create_part(name, CHANNELS)), part_options(name))
