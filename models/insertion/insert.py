"""Insertion of blocks into a network: ``insert_blocks(backbone, "snl@layer3.-1, nl@layer2:2")``.

A block becomes a child of an ``nn.Sequential``, in its place and under a name of its own (``snl_before_5``), so that
all other parameter names stay as they are and ``repr``, ``copy.deepcopy``, pickle, ``torch.compile`` and
``torch.export`` just work. Where there is no such container the block becomes a child of the module itself, run by a
forward hook that finds it there.

The grammar is in `specvid.models.insertion.grammar`, the meaning of places in `specvid.models.insertion.places`.
"""

from __future__ import annotations

import itertools
import re
from typing import Any, TypeGuard

from torch import Tensor, nn

from specvid.errors import unknown
from specvid.models.blocks import create_block, list_blocks
from specvid.models.clip import ForwardPass
from specvid.models.convolutions import CONVOLUTIONS
from specvid.models.formats import TOKENS, FeatureFormat, find_rule
from specvid.models.insertion.grammar import Insertion, parse_blocks
from specvid.models.insertion.inserted_block import InsertedBlock, changes_time, run_after, run_before
from specvid.models.insertion.parts import create_part, list_parts
from specvid.models.insertion.places import Call, Site, place_help, resolve, trace
from specvid.models.insertion.stages import plan_stages, wrap_stages
from specvid.models.spec import Backbone
from specvid.models.stages import STAGE_WRAPPERS

Planned = tuple[Site, Insertion, InsertedBlock]


def insert_blocks(
    backbone: Backbone, blocks: str | tuple[Insertion, ...], *, example: Tensor | None = None
) -> list[str]:
    """Insert blocks and parts into a network in place.

    All places mean the bare network: an insertion does not shift the indices of the next one. Several blocks at one
    place stand in the order given.

    Args:
        backbone: Its ``module`` is changed.
        blocks: Insertions, as a string or parsed.
        example: An input that the network runs on for its shapes, where it cannot run on the meta device.

    Returns:
        The paths of all `InsertedBlock` modules.

    Raises:
        ValueError: A block, option or place is unknown or does not fit; the network is then unchanged.
    """
    insertions = parse_blocks(blocks) if isinstance(blocks, str) else blocks
    if not insertions:
        return []
    network = backbone.module
    frames = backbone.input.frames
    # two clips: batch norm in training refuses a single value per channel
    shape = backbone.input.shape(backbone.dims, clips=2)
    probe: tuple[int, ...] | Tensor = shape if example is None else example
    stages = tuple(one for one in insertions if one.block in STAGE_WRAPPERS)
    planned_stages = plan_stages(network, stages, backbone.aliases, probe)
    calls = trace(network, probe)
    ran = {path: network.get_submodule(path) for path in calls}
    planned: list[Planned] = [
        (site, insertion, _create(insertion, site, calls.get(site.target), backbone))
        for insertion in insertions
        if insertion.block not in STAGE_WRAPPERS
        for site in resolve(network, insertion.place, backbone.aliases)
    ]
    for _, insertion, block in planned:
        block.insertion = next(i for i, one in enumerate(insertions) if one is insertion)
    children = {module: dict(module._modules) for module in network.modules()}
    for site, insertion, block in planned:
        _attach(ran, site, insertion.block, block)
    try:
        _check(network, probe, planned, frames)
    except ValueError:
        for module, before in children.items():  # the hooks then find nothing to run
            module._modules.clear()
            module._modules.update(before)
        raise
    wrap_stages(network, planned_stages)
    return [path for path, module in network.named_modules() if isinstance(module, InsertedBlock)]


class _Through(nn.Module):
    """Stands for a block while the network is run for its shapes."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x


def _check(network: nn.Module, probe: tuple[int, ...] | Tensor, planned: list[Planned], frames: int) -> None:
    """Run the network for its shapes once more where an insertion may not do what was asked.

    A part that shortens the clip may stand where all frames are wanted, and a module that runs all its children runs a
    block among them too.
    """
    shorter = [str(insertion) for _, insertion, block in planned if changes_time(block.block)]
    paths = {module: path for path, module in network.named_modules()}
    parents = (network.get_submodule(paths[block].rpartition(".")[0]) for _, _, block in planned)
    if not shorter and all(_is_plain_sequential(parent) for parent in parents):
        return
    blocks = [(block, block.block) for _, _, block in planned if not changes_time(block.block)]
    for block, _ in blocks:
        block.block = _Through()
    problem = None
    try:
        with ForwardPass(frames):
            calls = trace(network, probe)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        calls, problem = {}, error
    finally:
        for block, own in blocks:
            block.block = own
    if problem is not None and shorter:
        raise ValueError(
            f"blocks: {', '.join(map(repr, shorter))} gives fewer frames than it gets, which does not fit there: "
            "inside a residual branch, the shortcut keeps them all. Put it between stages, e.g. at 'layer2.end'"
        ) from problem
    for site, insertion, block in planned:
        if problem is not None or calls[paths[block]].calls != 1:
            raise ValueError(
                f"blocks: {str(insertion)!r} cannot stand at {site.target!r}, which runs whatever children it has. "
                f"Choose one of them, {site.target}.NAME"
            ) from problem


def features_at(backbone: Backbone, site: Site, call: Call | None) -> tuple[FeatureFormat, int] | str:
    """The features at a site: how they lie and how many channels they have.

    Args:
        backbone: The network.
        site: The place.
        call: What the site's module was given and gave, as `trace` saw it; None if it did not run.

    Returns:
        Format and channels; or, as text, why no block can stand there.
    """
    if call is None or call.calls != 1:
        runs = "never runs" if call is None else f"runs {call.calls} times"
        return f"it {runs} in a forward pass; choose a place that is passed once"
    rule = find_rule(backbone.formats, f"{site.target}.end" if site.after else site.target)
    if rule.format is None:
        return rule.why
    shape, grid = (call.output, call.output_grid) if site.after else (call.input, call.input_grid)
    channels = rule.format.map_shape(shape, backbone.dims, grid)
    if isinstance(channels, str):
        return f"{channels}; choose a place between feature maps"
    return rule.format, channels


def _create(insertion: Insertion, site: Site, call: Call | None, backbone: Backbone) -> InsertedBlock:
    """The block for ``site``, as wide as the features that flow there."""
    problem = f"blocks: {str(insertion)!r} cannot stand {'after' if site.after else 'before'} {site.target!r}"
    help = place_help(backbone.module, backbone.aliases)
    found = features_at(backbone, site, call)
    if isinstance(found, str):
        raise ValueError(f"{problem}: {found}. {help}")
    format, channels = found
    options = dict(insertion.options)
    dims = options.pop("dims", 3)
    allowed = (3,) if backbone.dims == 3 or insertion.block in list_parts() else (3, 2)
    if dims not in allowed:
        raise ValueError(f"{problem}: dims={dims!r}; this backbone takes {' or '.join(map(str, allowed))}")
    try:
        block = _block(insertion.block, channels, dims, options)
    except ValueError as error:
        raise ValueError(f"blocks: {str(insertion)!r}: {error}") from error
    if changes_time(block) and "frames" in backbone.fixed:
        raise ValueError(f"{problem}: this network mixes clips of {backbone.input.frames} frames and no others. {help}")
    if changes_time(block) and format.kind == TOKENS and backbone.dims == 3:
        raise ValueError(f"{problem}: the tokens there lie on a grid of a fixed number of time steps. {help}")
    per_frame = backbone.dims == 2
    return InsertedBlock(block, dims=dims, per_frame=per_frame, after=site.after, format=format)


def _block(name: str, channels: int, dims: int, options: dict[str, Any]) -> nn.Module:
    if name in list_parts():
        return create_part(name, channels, **options)
    if name in CONVOLUTIONS:
        raise ValueError(f"{name!r} is no block, it replaces convolutions: give it to conv= (--conv), or replace_conv")
    if name not in list_blocks():
        raise unknown("block", name, [*list_blocks(), *list_parts(), *STAGE_WRAPPERS])
    return create_block(name, channels, dims=dims, **options)


def _attach(ran: dict[str, nn.Module], site: Site, name: str, block: InsertedBlock) -> None:
    """Put ``block`` at ``site``; ``ran`` are the modules of the bare network that ran in the trace, by path."""
    parent_path, _, child = site.target.rpartition(".")
    parent, target = ran.get(parent_path), ran[site.target]
    name = re.sub(r"\W", "_", name) + ("_after" if site.after else "_before")
    if _is_plain_sequential(parent):
        _insert(parent, child, f"{name}_{child}", block)
    elif _is_plain_sequential(target):
        own = [key for key, module in target._modules.items() if not isinstance(module, InsertedBlock)]
        edge = own[-1] if site.after else own[0]
        _insert(target, edge, f"{name}_{edge}", block)
    else:
        target.add_module(_free_name(target, name), block)
        if site.after and run_after not in target._forward_hooks.values():
            target.register_forward_hook(run_after)
        if not site.after and run_before not in target._forward_pre_hooks.values():
            target.register_forward_pre_hook(run_before)


def _insert(parent: nn.Module, child: str, name: str, block: InsertedBlock) -> None:
    """Make ``block`` a child of ``parent``, next to ``child`` and, where there are blocks already, behind them."""
    items = list(parent._modules.items())
    at = [key for key, _ in items].index(child)
    if block.after:
        at += 1
        while at < len(items) and isinstance(items[at][1], InsertedBlock):
            at += 1
    items.insert(at, (_free_name(parent, name), block))
    parent._modules.clear()
    parent._modules.update(items)


def _is_plain_sequential(module: nn.Module | None) -> TypeGuard[nn.Sequential]:
    """Whether the module runs its children one after the other, nothing else."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _free_name(parent: nn.Module, name: str) -> str:
    candidates = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    return next(candidate for candidate in candidates if not hasattr(parent, candidate))
