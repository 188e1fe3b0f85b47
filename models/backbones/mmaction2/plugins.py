"""``plugins`` of OpenMMLab's ResNets, which mmaction2's own ResNets do not take, as insertions.

plugins = [dict(cfg=dict(type="specvid_snl"), stages=(False, False, True, False), position="after_conv2")]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from specvid.errors import unknown
from specvid.models.insertion.grammar import Insertion, Place

PREFIX = "specvid_"
_FIELDS = ("cfg", "stages", "position")


def read_plugins(plugins: Iterable[Mapping[str, Any]], network: nn.Module) -> tuple[Insertion, ...]:
    """Read ``plugins``, in the form of OpenMMLab's ResNets, as insertions into a ResNet of mmaction2.

    Args:
        plugins: Dicts of ``cfg``: ``type``, a name of ours with ``specvid_`` before it, and its options, without
            ``in_channels``; ``stages``: for each stage whether (all blocks of) it gets one, or a 0 or 1 for each block,
            as mmaction2's ``non_local`` (default: all of them); ``position``: ``after_conv1``, ``after_conv2`` or, in
            bottlenecks, ``after_conv3``.
        network: The ResNet.

    Returns:
        The insertions.

    Raises:
        ValueError: A dict has any other field or value, or the network has no such layer.
    """
    found = re.compile(r"layer\d+")
    stages = {name: len(list(layer.children())) for name, layer in network.named_children() if found.fullmatch(name)}
    insertions: list[Insertion] = []
    for plugin in plugins:
        what = f"plugin {dict(plugin)}"
        if not stages:
            raise ValueError(f"{what}: {type(network).__name__} has no layer1; use blocks=... instead of plugins")
        for name in plugin:
            if name not in _FIELDS:
                raise unknown(f"{what}: field", str(name), _FIELDS)
        settings = dict(plugin.get("cfg") or {})
        block = str(settings.pop("type", "")).split(".")[-1]
        if not block.startswith(PREFIX):
            raise ValueError(f"{what}: its cfg has type {block!r}; a block of specvid is 'specvid_snl' or the like")
        insertions += [
            Insertion(block.removeprefix(PREFIX), Place(path), tuple(settings.items()))
            for path in _places(plugin, network, stages, what)
        ]
    return tuple(insertions)


def _places(plugin: Mapping[str, Any], network: nn.Module, stages: Mapping[str, int], what: str) -> list[str]:
    chosen: Sequence[Any] = plugin.get("stages", (True,) * len(stages))
    if len(chosen) != len(stages):
        raise ValueError(f"{what}: stages names {len(chosen)} stages; this network has {len(stages)}")
    block = network.get_submodule(f"{next(iter(stages))}.0")
    positions = [f"after_{name}" for name, _ in block.named_children() if re.fullmatch(r"conv\d", name)]
    position = plugin.get("position", "")
    if position not in positions:
        raise unknown(f"{what}: position", str(position), positions)
    places: list[str] = []
    for (stage, blocks), wanted in zip(stages.items(), chosen, strict=True):
        each = tuple(wanted) if isinstance(wanted, Sequence) else (wanted,) * blocks
        if len(each) != blocks:
            raise ValueError(f"{what}: {len(each)} numbers for {stage}, which has {blocks} blocks")
        places += [f"{stage}.{i}.{position.removeprefix('after_')}.end" for i, here in enumerate(each) if here]
    return places
