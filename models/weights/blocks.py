"""Blocks inside the checkpoints of other projects: found by their keys, read into those of the model at their places.

    project             keys of a block                                 place
    SNL, CGNL           layer3.5.t.weight, layer3.5.stages.0.g ...      before child 5; it and all after it are shifted
    AlexHex7's names    layer3.5.theta.weight, layer3.5.W.0 ...         the same
    mmaction2           layer2.1.non_local_block.theta.conv ...         behind child 1 of layer2
    SlowFast            s3.pathway0_nonlocal1.conv_theta ...            behind block 1 of res3

The model must have a block of that kind at that place. The options that the weights determine (biases, norm, pooling,
units) are taken from them, unless other ones were requested. Those that they do not determine (the kernel of two that
have the same keys, the scale) are as in the model's ``blocks``, and the report of loading names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from specvid.models.blocks import block_options, create_block
from specvid.models.blocks.official.conversion import OFFICIAL_NAMES, Conversion, convert_tensors, read_official
from specvid.models.insertion.grammar import Insertion, format_blocks, parse_blocks
from specvid.models.insertion.inserted_block import InsertedBlock

if TYPE_CHECKING:
    from specvid.models.video_model import VideoModel

# A child of a stage is a block, and no residual block, where it has one of these.
_SIGNATURE = re.compile(
    r"(t|theta|theta\.conv|conv_theta|g|g\.0|g\.conv|g\.0\.conv|query_conv|conv_query|convA)\.weight"
)
_CHILD = re.compile(r"(?P<start>.*?)(?P<stage>layer\d+)\.(?P<child>\d+)\.(?P<rest>.+)")
_MMACTION = re.compile(r"(?P<start>.*?)(?P<stage>layer\d+)\.(?P<child>\d+)\.non_local_block\.(?P<rest>.+)")
_SLOWFAST = re.compile(r"(?P<start>.*?)s(?P<stage>\d)\.pathway0_nonlocal(?P<child>\d+)\.(?P<rest>.+)")


@dataclass
class FileBlock:
    """A block in a checkpoint.

    Args:
        where: the beginning of its keys in the file.
        start: what stands before the name of a stage in the file, e.g. ``backbone.``.
        stage: the stage by our name, e.g. ``layer3``.
        before: how many residual blocks of the stage come before it.
        state: its tensors, by its own keys.
        assumed: options that its project uses in all its configurations and that the weights do not determine.
    """

    where: str
    start: str
    stage: str
    before: int
    state: dict[str, Tensor] = field(default_factory=dict)
    assumed: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class BlockPlan:
    """What becomes of the blocks in a checkpoint.

    Args:
        state: the checkpoint, with blocks under the names of the model, and without shifted indices.
        blocks: new modules for the blocks of the model, by the inserted block that takes them.
        messages: what was taken from the file and what was not derived by it, by the name of a tensor of the model.
    """

    state: dict[str, Tensor]
    blocks: list[tuple[InsertedBlock, nn.Module]] = field(default_factory=list)
    messages: dict[str, str] = field(default_factory=dict)

    def swap(self) -> None:
        """Put the new modules in place of the old ones; once more undoes it."""
        for i, (inserted, block) in enumerate(self.blocks):
            self.blocks[i] = (inserted, inserted.block)
            inserted.block = block.train(inserted.training)


def plan_blocks(model: VideoModel, state: Mapping[str, Tensor], *, strict: bool = True) -> BlockPlan:
    """Find the blocks of other projects in a checkpoint and convert them for the blocks of a model.

    Args:
        model: with blocks at the same places.
        state: the checkpoint.
        strict: refuse a block of the checkpoint that has no counterpart; otherwise its tensors stay as they are.

    Returns:
        The checkpoint under our names, and the blocks to put into the model before it is loaded.

    Raises:
        ValueError: a block has no counterpart, or options of the model's blocks are not those of the weights, or must
            be given.
    """
    found = list(_find(state))
    if not found:
        return BlockPlan(dict(state))
    plan, places = BlockPlan(_without_blocks(state, found)), _places(model)
    for block in found:
        waiting = places.get((block.stage, block.before), [])
        inserted = waiting.pop(0) if waiting else None
        if inserted is None:
            if strict:
                raise ValueError(_no_counterpart(block, _suggest(model, found)))
            plan.state |= {f"{block.where}{key}": tensor for key, tensor in block.state.items()}
            continue
        path, module = inserted
        name = f"{block.start}{path.removeprefix('backbone.')}.block."
        new, tensors, message = _convert(block, module)
        plan.state |= {name + key: tensor for key, tensor in tensors.items()}
        plan.blocks.append((module, new))
        plan.messages[f"{path}.block.{next(iter(tensors))}"] = message
    return plan


def updated_blocks(model: VideoModel) -> str:
    """The string of ``blocks`` that builds the model with the options that its blocks have now.

    Args:
        model: whose blocks may have been replaced.

    Returns:
        In the grammar of insertions.
    """
    insertions = list(parse_blocks(model.config["blocks"]))
    for module in model.modules():
        if isinstance(module, InsertedBlock) and module.insertion is not None and hasattr(module.block, "config"):
            old, config = insertions[module.insertion], module.block.config
            given = {key: value for key, value in old.options if key == "dims"} | config.options
            insertions[module.insertion] = Insertion(old.block, old.place, tuple(given.items()))
    return format_blocks(tuple(insertions))


def _find(state: Mapping[str, Tensor]) -> Iterator[FileBlock]:
    """The blocks of a checkpoint, in the order of their keys."""
    blocks: dict[str, FileBlock] = {}
    children = {match["start"] + match["stage"] + "." + match["child"] for match in _signed(state)}
    for key, tensor in state.items():
        if match := _MMACTION.fullmatch(key):
            block = FileBlock("", match["start"], match["stage"], int(match["child"]) + 1, assumed={"scale": False})
        elif match := _SLOWFAST.fullmatch(key):
            stage = f"layer{int(match['stage']) - 1}"
            block = FileBlock("", match["start"], stage, int(match["child"]) + 1, assumed={"sub_sample": "input"})
        elif (match := _CHILD.fullmatch(key)) and match["start"] + match["stage"] + "." + match["child"] in children:
            stage = match["start"] + match["stage"]
            shifts = sum(f"{stage}.{child}" in children for child in range(int(match["child"])))
            block = FileBlock("", match["start"], match["stage"], int(match["child"]) - shifts)
        else:
            continue
        where = key.removesuffix(match["rest"])
        blocks.setdefault(where, replace(block, where=where)).state[match["rest"]] = tensor
    yield from blocks.values()


def _signed(state: Mapping[str, Tensor]) -> Iterator[re.Match[str]]:
    """Keys of children of stages that only a block has."""
    for key in state:
        match = _CHILD.fullmatch(key)
        if match and _SIGNATURE.fullmatch(match["rest"]):
            yield match


def _without_blocks(state: Mapping[str, Tensor], found: list[FileBlock]) -> dict[str, Tensor]:
    """The rest of a checkpoint, with the indices of a network without blocks."""
    inside = tuple(block.where for block in found)
    shifted = [block for block in found if _CHILD.fullmatch(f"{block.where}x")]
    rest = {}
    for key, tensor in state.items():
        if key.startswith(inside):
            continue
        if match := _CHILD.fullmatch(key):
            stage, child = match["start"] + match["stage"], int(match["child"])
            before = {block.where for block in shifted if block.start + block.stage == stage}
            child -= sum(f"{stage}.{index}." in before for index in range(child))
            key = f"{stage}.{child}.{match['rest']}"
        rest[key] = tensor
    return rest


def _places(model: VideoModel) -> dict[tuple[str, int], list[tuple[str, InsertedBlock]]]:
    """The blocks of a model by stage and the number of the stage's own children before them."""
    places: dict[tuple[str, int], list[tuple[str, InsertedBlock]]] = {}
    for path, stage in model.backbone.named_modules():
        before = 0
        for name, child in stage.named_children():
            if isinstance(child, InsertedBlock):
                places.setdefault((path, before), []).append((f"backbone.{path}.{name}", child))
            else:
                before += 1
    return places


def _suggest(model: VideoModel, found: list[FileBlock]) -> str:
    """The string of ``blocks`` for all blocks of a file, as if they were nonlocal ones."""
    places = []
    for stage, before in dict.fromkeys((block.stage, block.before) for block in found):
        children = dict(model.backbone.named_modules()).get(stage, nn.Module()).children()
        own = sum(not isinstance(child, InsertedBlock) for child in children)
        places.append(f"nl@{stage}.{before if before < own else 'end'}")
    return ", ".join(places)


def _no_counterpart(block: FileBlock, suggested: str) -> str:
    return (
        f"weights: the file has a block ({block.where}*: {', '.join(sorted(block.state)[:4])}, ...) before child "
        f"{block.before} of {block.stage}, where the model has none. Create the model with blocks of the right kind, "
        f"e.g. blocks='{suggested}'"
    )


def _convert(block: FileBlock, inserted: InsertedBlock) -> tuple[nn.Module, dict[str, Tensor], str]:
    """The module that computes what the file's block does, its tensors, and what to report."""
    config = getattr(inserted.block, "config", None)
    if config is None:
        raise ValueError(f"weights: {block.where}* is a block, but the model has a part without weights at its place.")
    name = OFFICIAL_NAMES.get(config.name, config.name)
    conversion = read_official(name, block.state)
    if conversion.block != config.name:
        raise ValueError(
            f"weights: {block.where}* is a block {conversion.block!r}, but the model has {config.name!r} at its place."
        )
    derived = _derived(conversion, config.name, config.channels)
    clash = {key: value for key, value in derived.items() if config.options.get(key, value) != value}
    if clash:
        given = {key: config.options[key] for key in clash}
        raise ValueError(
            f"weights: {block.where}* is a block {config.name!r} with {_listed(clash)}, but the model was created with "
            f"{_listed(given)}. Leave these options away, or give those of the weights."
        )
    defaults = {**conversion.defaults, **block.assumed}
    given = {key: value for key, value in config.options.items() if key not in derived}
    if (derived | given).get("kernel", "embedded") != "embedded":  # no other kernel is scaled
        defaults.pop("scale", None)
    missing = [key for key in conversion.undetermined if key not in given and key not in defaults]
    if missing:
        option = missing[0]
        raise ValueError(
            f"weights: {block.where}* is a block {config.name!r} whose weights do not determine {option!r}: create the "
            f"model with blocks='{config.name}({option}=...)@...', which is {conversion.undetermined[option]}."
        )
    assumed = {key: value for key, value in defaults.items() if key not in given}
    own = block_options(config.name)
    options = {key: value for key, value in (assumed | derived | given).items() if own[key] != value or key in given}
    new = create_block(config.name, config.channels, dims=config.dims, **options)
    tensors = convert_tensors(name, conversion, block.state, new.state_dict())
    if conversion.options.get("gate") == 1.0:
        tensors |= {key: torch.ones_like(value) for key, value in new.state_dict().items() if key.endswith(".gate")}
    message = f"a block of another project, as {config.name}({_listed(options)})"
    return new, tensors, message + (f"; its weights do not determine {_listed(assumed)}" if assumed else "")


def _derived(conversion: Conversion, name: str, channels: int) -> dict[str, Any]:
    """The options of a block that its weights determine, without widths that are the default and the gate."""
    derived = {key: value for key, value in conversion.options.items() if key != "gate"}
    default = channels // block_options(name)["reduction"]
    if derived.get("inner") == default:
        del derived["inner"]
    project = derived.get("project", block_options(name)["project"])
    if derived.get("value") == (derived.get("inner", default) if project else channels):
        del derived["value"]
    return derived


def _listed(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in options.items())
