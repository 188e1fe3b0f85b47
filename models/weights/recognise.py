"""Whose checkpoint is it? For the message to somebody who gave the wrong one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from specvid.models.backbones.registry import build_backbone, list_backbones
from specvid.models.weights.names import match_names

# a name that a checkpoint of a family has, at its end -> how the family's backbones begin; so few need be built
_FAMILIES = {
    "layer4.0.conv1.weight": ("resnet", "resnext", "wide_resnet"),
    "layer4.0.conv1.conv.weight": ("resnet", "i3d_r"),
    "layer4.0.conv1.0.weight": ("r3d_18", "mc3_18"),
    "layer4.0.conv1.0.0.weight": ("r2plus1d_18",),
    "Mixed_5c.b0.conv3d.weight": ("i3d_inception",),
    "features.denseblock1.denselayer1.norm1.weight": ("densenet",),
    "features.1.conv.0.0.weight": ("mobilenet_v2",),
    "features.1.block.0.0.weight": ("mobilenet_v3", "efficientnet"),
    "features.1.0.block.0.0.weight": ("efficientnet",),
    "features.1.0.block.0.weight": ("convnext",),
    "features.2.0.attn.relative_position_bias_table": ("swin3d",),
    "features.1.0.attn.relative_position_bias_table": ("swin_",),
    "features.15.branch0.0.weight": ("s3d",),
    "trunk_output.block1.block1-0.f.a.0.weight": ("regnet",),
    "pos_encoding.class_token": ("mvit",),
    "conv2.0.conv2a.conv1.weight": ("osnet_x", "osnet_ibn"),
    "conv2.0.conv2.0.layers.0.conv1.weight": ("osnet_ain",),
}

# the same for classes of mmaction2, which need not be installed; its ResNets in 3D are too much alike for that
_OF_MMACTION = {
    "slow_path.conv1.conv.weight": "ResNet3dSlowFast",
    "conv1_s.conv.weight": "X3D",
    "conv1a.conv.weight": "C3D",
    "layers.0.blocks.0.attn.relative_position_bias_table": "SwinTransformer3D",
    "transformer_layers.layers.0.attentions.0.attn.in_proj_weight": "TimeSformer",
}

# backbones that come in more than one shape under one name
_OPTIONS: Mapping[str, Mapping[str, object]] = {"resnet3d_": {"shortcut": "A"}}


def recognise(state: Mapping[str, Tensor]) -> tuple[str, Mapping[str, object]]:
    """Find the backbone that weights belong to.

    Args:
        state: Tensors by name.

    Returns:
        The backbone all of whose tensors are in ``state``, in their shapes, and its options; ``("", {})`` where none of
            the likely ones is. Classes of mmaction2 are recognised by one name alone, without their options.
    """
    for end, kind in _OF_MMACTION.items():
        if any(name.endswith(end) for name in state) and (kind == "TimeSformer" or _has_time(state)):
            return f"mmaction:{kind}", {}
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    families = (starts for end, starts in _FAMILIES.items() if any(name.endswith(end) for name in state))
    starts = tuple(start for family in families for start in family)
    for name in list_backbones() if starts else ():
        if name.startswith(starts):
            other = (options for start, options in _OPTIONS.items() if name.startswith(start))
            for options in ({}, *other):
                if _matches(shapes, name, options):
                    return name, options
    return "", {}


def _has_time(state: Mapping[str, Tensor]) -> bool:
    """Whether it is of a video network: timm's Swin for images has the names of mmaction2's for video."""
    return any(tensor.ndim == 5 for tensor in state.values())


def _matches(shapes: Mapping[str, tuple[int, ...]], name: str, options: Mapping[str, object]) -> bool:
    with torch.device("meta"):
        backbone = build_backbone(name, **options)
    parts = {"backbone": backbone.module, "tail": backbone.tail}
    wanted = {
        f"{part}.{key}": tuple(tensor.shape)
        for part, module in parts.items()
        if module is not None
        for key, tensor in module.state_dict().items()
        if not key.endswith(".num_batches_tracked")
    }
    found = match_names(shapes, wanted, classifier=backbone.classifier)
    return {target: shapes[theirs] for theirs, target in found.items()} == wanted
