"""Stages of a network, wrapped: what ``blocks="sda@layer3"`` does, after the blocks inside are in their places."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from specvid.models.insertion.grammar import Insertion
from specvid.models.insertion.places import find_module, trace
from specvid.models.stages import STAGE_WRAPPERS, DepthStage, find_blocks
from specvid.models.stages.stage import ResidualBlock
from specvid.registry import check_options

PlannedStage = tuple[str, Insertion, list[ResidualBlock], nn.Module]


def plan_stages(
    network: nn.Module, insertions: tuple[Insertion, ...], aliases: Mapping[str, str], probe: tuple[int, ...] | Tensor
) -> list[PlannedStage]:
    """Find the stages that are to be wrapped, and build what mixes the maps of their blocks.

    Args:
        network: The bare network, which is not changed.
        insertions: Of `STAGE_WRAPPERS`.
        aliases: Short names of places.
        probe: As of `specvid.models.insertion.places.trace`.

    Returns:
        Of each stage its path, the insertion, its blocks and the new module.

    Raises:
        ValueError: An option is unknown, a place is no stage of residual blocks, or is wrapped twice.
    """
    planned: list[PlannedStage] = []
    for insertion in insertions:
        text = f"blocks: {str(insertion)!r}"
        path = find_module(network, insertion.place.path, aliases)
        stage = network.get_submodule(path)
        if insertion.place.count is not None or not isinstance(stage, nn.Sequential):
            raise ValueError(f"{text} wraps a stage, an nn.Sequential of residual blocks, such as 'layer3'")
        if any(path == other for other, *_ in planned):
            raise ValueError(f"{text}: {path!r} is wrapped twice")
        try:
            blocks = find_blocks(network, path, lambda: trace(network, probe))
            planned.append((path, insertion, blocks, _mixture(insertion, blocks)))
        except ValueError as error:
            raise ValueError(f"{text}: {error}") from error
    return planned


def _mixture(insertion: Insertion, blocks: list[ResidualBlock]) -> nn.Module:
    options: dict[str, Any] = dict(insertion.options)
    given = ("channels", "blocks")  # by the stage
    parameters = inspect.signature(STAGE_WRAPPERS[insertion.block]).parameters.values()
    known = {parameter.name: parameter.default for parameter in parameters if parameter.name not in given}
    check_options(f"{insertion.block!r}", options, known)
    return STAGE_WRAPPERS[insertion.block](blocks[0].channels, blocks=len(blocks), **options)


def wrap_stages(network: nn.Module, planned: list[PlannedStage]) -> None:
    """Wrap stages, in place.

    Args:
        network: The network, perhaps with blocks in its stages by now.
        planned: Of `plan_stages`.
    """
    for path, insertion, blocks, mixture in planned:
        stage = network.get_submodule(path)
        assert isinstance(stage, nn.Sequential)
        near = next(stage.parameters())
        wrapped = DepthStage(stage, blocks, mixture.to(near.device, near.dtype), name=insertion.block)
        parent, _, child = path.rpartition(".")
        network.get_submodule(parent)._modules[child] = wrapped.train(stage.training)
