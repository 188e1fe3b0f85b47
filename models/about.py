"""What backbones there are and what they are: cost, clips, weights, and their tree with the places for blocks.

Costs are counted on the meta device, that is, without computing anything.
"""

from __future__ import annotations

import copy
import difflib
import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from specvid.modality import DESCRIPTIONS
from specvid.models.backbones.registry import build_backbone, list_backbones
from specvid.models.clip import ForwardPass
from specvid.models.factory import create_model
from specvid.models.formats import CHANNELS_FIRST, CHANNELS_LAST, TOKENS, find_rule
from specvid.models.insertion.grammar import Place
from specvid.models.insertion.insert import features_at, insert_blocks
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.insertion.places import Call, container_children, residual_branches, resolve, stages, trace
from specvid.models.spec import Backbone, InputSpec, Pretrained
from specvid.models.video_model import VideoModel

SCHEMES = {
    "inflated": "any of torchvision's convolutional image networks as a video network, e.g. inflated:resnet50",
    "timm": "timm's image networks per frame, e.g. timm:vit_tiny_patch16_224; needs pip install 'specvid[timm]'",
    "mmaction": "mmaction2's backbones, e.g. 'mmaction:ResNet3d(depth=18)'; needs pip install 'specvid[mmaction]'",
}
"""What may stand before the colon of a backbone's name (`specvid.models.backbones.registry.list_schemes`)."""

_ORDER = {CHANNELS_FIRST: "", CHANNELS_LAST: " (channels last)", TOKENS: " (tokens x channels)"}


@dataclass(frozen=True)
class BackboneInfo:
    """One backbone.

    Attributes:
        name: For `specvid.create_model`.
        per_frame: Whether it is an image network.
        parameters: Of the bare backbone.
        gmacs: 10^9 multiply-adds of one clip of ``input``.
        features: Length of the vector that the head gets.
        input: The clips it is made for.
        pretrained: Published weights by name.
    """

    name: str
    per_frame: bool
    parameters: int
    gmacs: float
    features: int
    input: InputSpec
    pretrained: Mapping[str, Pretrained]


def match_backbones(pattern: str) -> list[str]:
    """Names of the backbones that fit a pattern.

    Args:
        pattern: With ``*``, ``?`` or ``[`` as for file names, else a part of the name.

    Returns:
        The names, sorted.

    Raises:
        ValueError: No backbone fits.
    """
    names = list_backbones()
    glob = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    found = [name for name in names if fnmatch.fnmatchcase(name, glob)]
    if not found:
        near = difflib.get_close_matches(pattern.strip("*"), names, n=3, cutoff=0.4)
        hint = f" Near it: {', '.join(near)}." if near else ""
        raise ValueError(
            f"pattern {pattern!r} fits none of the {len(names)} backbones.{hint} Without one, all are listed."
        )
    return found


def backbone_info(name: str) -> BackboneInfo:
    """Describe a backbone without blocks: its clips, cost, weights and licence.

    Args:
        name: A backbone (`list_backbones`).

    Returns:
        What is known about it, computed on the meta device.

    Raises:
        ValueError: The backbone is unknown.
    """
    model = model_on_meta(name)
    return BackboneInfo(
        name=name,
        per_frame=model.dims == 2,
        parameters=count_parameters(model),
        gmacs=multiply_adds(model) / 1e9,
        features=model.embedding_dim,
        input=model.input,
        pretrained=model.pretrained,
    )


def count_parameters(module: nn.Module) -> int:
    """Number of parameters of a module.

    Args:
        module: Any module.

    Returns:
        How many numbers its parameters have, frozen ones included.
    """
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(model: VideoModel) -> int:
    """Multiply-adds of one clip of ``model.input``, from pixels to the embedding.

    This is what papers and torchvision print as FLOPs (`torch.utils.flop_counter` counts two for each). Convolutions,
    matrix products and attention count; norms, pooling and elementwise functions do not.

    Args:
        model: A model; a copy on the meta device is counted unless it is there already.

    Returns:
        The number of multiply-adds.
    """
    meta = copy.deepcopy(model).to("meta").eval() if any(not p.is_meta for p in model.parameters()) else model.eval()
    clip = torch.empty(model.input.shape(3), device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        meta.embed(clip)
    return counter.get_total_flops() // 2


def model_on_meta(name: str, *, blocks: str = "", input: Mapping[str, object] | None = None) -> VideoModel:
    """Build a model on the meta device, in eval mode: without memory for its weights.

    Args:
        name: A backbone.
        blocks: Insertions, as of `specvid.create_model`.
        input: Changes to the backbone's `InputSpec`.

    Returns:
        The model, which computes shapes and no numbers.

    Raises:
        ValueError: As `specvid.create_model`.
    """
    with _cheapest_device(name):
        return create_model(name, blocks=blocks, input=input).to("meta").eval()


def clip_text(spec: InputSpec) -> str:
    """The clips of an input in words.

    Args:
        spec: The clips.

    Returns:
        E.g. ``16 x 112 x 112, every 2nd frame``: frames, height and width in px, stride, and what is seen, if not RGB.
    """
    height, width = spec.crop
    every = {1: "every frame", 2: "every 2nd frame", 3: "every 3rd frame"}.get(
        spec.stride, f"every {spec.stride}th frame"
    )
    seen = "" if spec.modality == "rgb" else f", {DESCRIPTIONS[spec.modality]}"
    return f"{spec.frames} x {height} x {width}, {every}{seen}"


def describe(name: str, *, blocks: str = "", input: Mapping[str, Any] | None = None) -> str:
    """A backbone as text: its stages with the shapes that flow, where blocks can go, and those that were inserted.

    Args:
        name: A backbone.
        blocks: What to insert.
        input: Changes to its `InputSpec`.

    Returns:
        Several lines.

    Raises:
        ValueError: As `specvid.create_model`.
    """
    bare, full = _build(name, input), _build(name, input)
    added = insert_blocks(full, blocks)
    calls, bare_calls = _trace(full), _trace(bare)
    model = model_on_meta(name, blocks=blocks, input=input)
    kind = "a video network" if bare.dims == 3 else "an image network, run per frame; blocks see all frames of a clip"
    extra = (
        f", {count_parameters(full.module) - count_parameters(bare.module):,} of them in inserted blocks"
        if added
        else ""
    )
    axes = "C x T x H x W" if bare.dims == 3 else "C x H x W, of each frame"
    rows = list(_rows(full, full.module, calls, bare, bare_calls, depth=0, path=""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    heading = ("", "", f"gives ({axes})", "@PATH | @PATH.end")
    tree = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heading, *rows)
    ]
    return "\n".join(
        [
            f"{name}: {kind}",
            f"{count_parameters(model):,} parameters{extra}; {multiply_adds(model) / 1e9:.2f} GFLOPs (multiply-adds) "
            f"of a clip of {clip_text(model.input)}; vector of {bare.vector_dim}",
            "",
            *tree,
            "",
            *_places(bare, bare_calls),
        ]
    )


def _cheapest_device(name: str) -> torch.device:
    """Where to build a backbone at the least cost: on meta, or on the CPU where another library computes meanwhile."""
    return torch.device("cpu" if ":" in name else "meta")


def _build(name: str, input: Mapping[str, Any] | None) -> Backbone:
    with _cheapest_device(name):
        return build_backbone(name).with_input(input or {})


def _trace(backbone: Backbone) -> dict[str, Call]:
    backbone.module.eval()  # mmaction2's give None
    with ForwardPass(backbone.input.frames):
        return trace(backbone.module, backbone.input.shape(backbone.dims))


def _rows(
    full: Backbone,
    parent: nn.Module,
    calls: Mapping[str, Call],
    bare: Backbone,
    bare_calls: Mapping[str, Call],
    *,
    depth: int,
    path: str,
) -> Iterator[tuple[str, str, str, str]]:
    """Of each child: its path, its type, what it gives, and how many channels a block at it, and at its end, has."""
    for child, module in parent.named_children():
        here = f"{path}.{child}" if path else child
        inserted = isinstance(module, InsertedBlock)
        kind = f"{count_parameters(module):,} parameters" if inserted else type(module).__name__
        widths = "" if inserted else " | ".join(_width(bare, bare_calls, place) for place in (here, f"{here}.end"))
        indent = "  " * depth
        yield (f"{'+' if inserted else ' '} {indent}{here}", kind, _gives(full, calls.get(here), here), widths)
        within = any(isinstance(part, InsertedBlock) for part in module.modules()) and not inserted
        if within or here in stages(full.module):
            yield from _rows(full, module, calls, bare, bare_calls, depth=depth + 1, path=here)


def _gives(backbone: Backbone, call: Call | None, path: str) -> str:
    if call is None or call.output is None:
        return "-"
    format = find_rule(backbone.formats, f"{path}.end").format
    return " x ".join(map(str, call.output[1:])) + (_ORDER[format.kind] if format is not None else "")


def _width(backbone: Backbone, calls: Mapping[str, Call], place: str) -> str:
    (site,) = resolve(backbone.module, Place(place), backbone.aliases)
    found = features_at(backbone, site, calls.get(site.target))
    return "no" if isinstance(found, str) else str(found[1])


def _places(backbone: Backbone, calls: Mapping[str, Call]) -> list[str]:
    """What the places of the insertion grammar are in this backbone."""
    short: dict[str, list[str]] = {}
    for alias, path in backbone.aliases.items():
        short.setdefault(path, []).append(alias)
    lines = [
        "where blocks can go: BLOCK@PATH before a module above or one in it (of a stage: before its last child), "
        "BLOCK@PATH.end after it;",
        "the columns say how many channels the block has there.",
    ]
    found = stages(backbone.module)
    for path, count in found.items():
        names = "".join(f" = {alias}" for alias in short.pop(path, ()))
        children = container_children(backbone.module.get_submodule(path))
        last = f"{path}.{children[-1]}"
        lines.append(
            f"  {path}{names}: {count} {'child' if count == 1 else 'children'}, {path}.{children[0]}"
            + (f" to {last}" if count > 1 else "")
            + f"; @{path} is @{path}.-1, @{path}:N spreads N blocks over it"
        )
    if not found:
        lines.append("  it has no stages; any module's path is a place")
    rest = [f"{alias} = {path}" for path, aliases in short.items() for alias in aliases]
    if rest:
        lines.append(f"  short names: {', '.join(rest)}")
    branches = residual_branches(backbone.module)
    if branches:
        lines.append(f"  residual: before each of {len(branches)} residual branches, for parts such as tsm@residual")
    reasons = dict.fromkeys(rule.why for rule in backbone.formats if rule.format is None and rule.why)
    return lines + [f"  not everywhere: {why}" for why in reasons]
