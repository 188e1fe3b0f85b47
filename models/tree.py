"""A backbone as text: its tree, with the shapes that flow and the places where blocks can go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from specvid.models.about import cheapest_device, count_parameters, model_on_meta, multiply_adds
from specvid.models.backbones.registry import build_backbone
from specvid.models.clip import ForwardPass
from specvid.models.convolutions import Convolution
from specvid.models.formats import CHANNELS_FIRST, CHANNELS_LAST, TOKENS, find_rule
from specvid.models.insertion.convolutions import replace_convolutions
from specvid.models.insertion.grammar import Place, parse_blocks
from specvid.models.insertion.insert import features_at, insert_blocks
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.insertion.places import Call, container_children, residual_branches, resolve, stages, trace
from specvid.models.spec import Backbone
from specvid.models.stages import STAGE_WRAPPERS
from specvid.models.table import clip_text

_ORDER = {CHANNELS_FIRST: "", CHANNELS_LAST: " (channels last)", TOKENS: " (tokens x channels)"}


def describe(name: str, *, blocks: str = "", conv: str = "", input: Mapping[str, Any] | None = None) -> str:
    """A backbone as text: its stages with the shapes that flow, where blocks can go, and those that were inserted.

    Args:
        name: A backbone.
        blocks: What to insert.
        conv: Which convolutions to replace.
        input: Changes to its `InputSpec`.

    Returns:
        Several lines.

    Raises:
        ValueError: As `specvid.create_model`.
    """
    bare, full = _build(name, input), _build(name, input)
    insert_blocks(full, blocks)
    inside = count_parameters(full.module) - count_parameters(bare.module)
    replaced = replace_convolutions(full.module, parse_blocks(conv, what="conv"), full.aliases) if conv else None
    calls, bare_calls = _trace(full), _trace(bare)
    model = model_on_meta(name, blocks=blocks, conv=conv, input=input)
    kind = "a video network" if bare.dims == 3 else "an image network, run per frame; blocks see all frames of a clip"
    extra = f", {inside:,} of them in inserted blocks" if inside else ""
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
            *([] if replaced is None else [f"replaced convolutions (~): {replaced}"]),
            "",
            *tree,
            "",
            *_places(bare, bare_calls),
        ]
    )


def _build(name: str, input: Mapping[str, Any] | None) -> Backbone:
    with cheapest_device(name):
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
        inserted = isinstance(module, (InsertedBlock, *STAGE_WRAPPERS.values()))
        kind = f"{count_parameters(module):,} parameters" if inserted else type(module).__name__
        widths = "" if inserted else " | ".join(_width(bare, bare_calls, place) for place in (here, f"{here}.end"))
        indent = "  " * depth
        if isinstance(module, Convolution):
            kind = f"{module.config.name}, {count_parameters(module):,} parameters"
        mark = "+" if inserted else "~" if isinstance(module, Convolution) else " "
        yield (f"{mark} {indent}{here}", kind, _gives(full, calls.get(here), here), widths)
        kinds = (InsertedBlock, Convolution, *STAGE_WRAPPERS.values())
        within = any(isinstance(part, kinds) for part in module.modules()) and not isinstance(module, kinds)
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
