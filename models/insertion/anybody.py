"""Blocks in anybody's ``nn.Module``: ``specvid.insert(network, "gc@layer3.-1", example)``, and out again.

The grammar and the places are those of `specvid.create_model`. What flows at a place is found by running the network
once on the example; features must lie channels first there, (B, C, T, H, W) or (B, C, H, W).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from specvid.models.clip import begin_pass, end_pass, open_in_forward
from specvid.models.insertion.grammar import parse_blocks
from specvid.models.insertion.insert import insert_blocks
from specvid.models.insertion.inserted_block import InsertedBlock, run_after, run_before
from specvid.models.insertion.parts import list_parts
from specvid.models.spec import Backbone, InputSpec
from specvid.models.stages import STAGE_WRAPPERS, unwrap_stages


def insert(module: nn.Module, blocks: str, example: Tensor, *, frames: int | None = None) -> list[str]:
    """Insert blocks into a network, in place.

    A fresh block is the identity, so the network computes what it did before; parts (``tsm``, ``tpool``) are not. New
    parameters belong into an optimiser that exists already. `remove` takes the blocks out again.

    Args:
        module: any network that takes one tensor.
        blocks: what goes where, e.g. ``"snl@layer3.-1, gc@layer2.end"`` (`specvid.models.insertion.grammar`).
        example: an input of the network, on its device: (B, C, T, H, W) of a video network, (N, C, H, W) of an image
            network. The network runs on it once or twice, in eval mode.
        frames: of an image network that runs on the frames of clips, N = B·T: their number T. Blocks then see all
            frames of a clip together; without it each image for itself.

    Returns:
        The paths of the inserted modules.

    Raises:
        ValueError: an unknown block, option or place, or a place where no block can stand; nothing is changed then.
    """
    if _model_config(module) is not None:
        raise ValueError(
            "insert: this is a VideoModel, whose blocks are part of its config: create it with "
            f"specvid.create_model({_model_config(module)['name']!r}, blocks={blocks!r}, ...)"
        )
    _check_module(module, "insert")
    if not isinstance(example, Tensor):
        raise ValueError(
            f"insert: the example is a {type(example).__name__}, and must be a tensor that the network takes"
        )
    if example.ndim not in (4, 5):
        raise ValueError(
            f"insert: the example has shape {tuple(example.shape)}; it must be (B, C, T, H, W) of a video network or "
            "(N, C, H, W) of an image network"
        )
    dims = example.ndim - 2
    if frames is not None and (dims == 3 or frames < 1 or len(example) % frames):
        raise ValueError(
            f"insert: frames={frames} does not fit an example of shape {tuple(example.shape)}: it is for image "
            "networks, whose example has a multiple of it as batch"
        )
    insertions = parse_blocks(blocks)
    if dims == 2 and frames is None:
        for one in insertions:
            if one.block in list_parts():
                raise ValueError(f"insert: {str(one)!r} works along time: give frames=..., the frames of a clip")
        flat = (("dims", 2),)
        insertions = tuple(
            one
            if one.block in STAGE_WRAPPERS
            else replace(one, options=tuple({**dict(flat), **dict(one.options)}.items()))
            for one in insertions
        )
    spec = InputSpec(frames or (example.shape[2] if dims == 3 else 1), 1, (example.shape[-2], example.shape[-1]), 1)
    before = {name for name, part in module.named_modules() if isinstance(part, InsertedBlock)}
    with torch.random.fork_rng(devices=[]):
        added = insert_blocks(Backbone(module, 0, spec, dims, aliases=stages_of(module)), insertions, example=example)
    added = [path for path in added if path not in before]
    near = next((tensor for tensor in module.parameters() if tensor.is_floating_point()), example)
    for path in added:
        module.get_submodule(path).to(near.device, near.dtype).train(module.training)
    if frames is not None:
        open_in_forward(module.module if _is_parallel(module) else module, frames)  # each replica has its own thread
    return added


def remove(module: nn.Module) -> list[str]:
    """Take all inserted blocks out of a network again, in place.

    Args:
        module: a network that `insert` put blocks into.

    Returns:
        The paths at which they were.

    Raises:
        ValueError: there are none, or it is a `VideoModel`.
    """
    _check_module(module, "remove")
    if _model_config(module) is not None:
        raise ValueError("remove: this is a VideoModel; create it again without blocks, and load its weights")
    stages = unwrap_stages(module)
    found = [path for path, part in module.named_modules() if isinstance(part, InsertedBlock)]
    if not found and not stages:
        raise ValueError(f"remove: there are no inserted blocks in this {type(module).__name__}")
    for path in found:
        parent, _, name = path.rpartition(".")
        del module.get_submodule(parent)._modules[name]
    for part in module.modules():
        for hooks in (part._forward_hooks, part._forward_pre_hooks):
            for key, hook in list(hooks.items()):
                if hook in (run_before, run_after, begin_pass, end_pass):
                    del hooks[key]
        part.__dict__.pop("specvid_frames", None)
    return found + stages


def _check_module(module: Any, verb: str) -> None:
    """Refuse what is no network whose modules can be given hooks and children."""
    kind = type(module).__name__
    if not isinstance(module, nn.Module):
        raise ValueError(f"{verb}: {kind} is no nn.Module; the order is {verb}(network, ...)")
    if isinstance(module, torch.jit.ScriptModule) or kind in ("OptimizedModule", "GraphModule"):
        raise ValueError(
            f"{verb}: this is a {kind}, compiled code that runs none of the modules it shows; {verb} before compiling"
        )


def _is_parallel(module: nn.Module) -> TypeGuard[nn.DataParallel | nn.parallel.DistributedDataParallel]:
    return isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel))


def stages_of(module: nn.Module) -> dict[str, str]:
    """The names of stages in papers, where a network has ResNet's.

    Args:
        module: Any network.

    Returns:
        Short name -> path: res4 = layer3, in DataParallel module.layer3.
    """
    inside = "module." if _is_parallel(module) else ""
    paths = {path for path, _ in module.named_modules()}
    stages = {f"res{number + 1}": f"{inside}layer{number}" for number in range(1, 5)}
    return {name: path for name, path in stages.items() if path in paths}


def _model_config(module: nn.Module) -> Any:
    """The config of a `VideoModel`; None of anything else."""
    config = getattr(module, "config", None)
    return config if isinstance(config, dict) and {"blocks", "name"} <= config.keys() else None
