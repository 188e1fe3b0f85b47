"""torchvision's transformers: Swin for images and video, MViT.

Swin has features channels last. MViT has tokens, the class token first, and hands their grid from block to block;
its classifier reads the class token, so a block behind the last layer of attention would change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from specvid.models.backbones.registry import register_backbone
from specvid.models.backbones.torchvision_weights import image_input, torchvision_weights
from specvid.models.formats import FIRST, LAST, TOKENS, FeatureFormat, FormatRule
from specvid.models.spec import IMAGENET_MEAN, IMAGENET_STD, Backbone, InputSpec, stack

_MVIT_MEAN, _MVIT_STD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
_CLASS_TOKEN = FeatureFormat(TOKENS, prefix=1)


class ChannelsFirst(nn.Module):
    """(B, ..., C) -> (B, C, ...)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.movedim(-1, 1)


class MViTTokens(nn.Module):
    """torchvision's MViT up to its last norm: (B, 3, T, H, W) -> tokens (B, 1 + T'·H'·W', D), the class token first.

    Args:
        network: torchvision's MViT, whose layers it takes.
    """

    conv_proj: nn.Module
    pos_encoding: Any
    blocks: nn.ModuleList
    norm: nn.Module

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.conv_proj, self.pos_encoding = network.conv_proj, network.pos_encoding
        self.blocks, self.norm = network.blocks, network.norm

    def forward(self, x: Tensor) -> Tensor:
        grid = (self.pos_encoding.temporal_size, *self.pos_encoding.spatial_size)
        x = self.pos_encoding(self.conv_proj(x).flatten(2).transpose(1, 2))
        for block in self.blocks:
            x, grid = block(x, grid)
        return self.norm(x)


class ClassToken(nn.Module):
    """Tokens (N, 1 + ..., D) -> the first of them (N, D)."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


@register_backbone("mvit_v1_b")
def mvit_v1_b(*, frames: int = 16, size: int = 224) -> Backbone:
    """MViT-B 16x4 (Fan et al., ICCV 2021). 36.3 M parameters.

    Args:
        frames: Of all its clips; others than 16 do not fit the published positions.
        size: Side of all its clips in px; others than 224 do not fit the published positions.

    Returns:
        The backbone, randomly initialised.
    """
    from torchvision.models.video import mvit_v1_b

    return _mvit("mvit_v1_b", mvit_v1_b, frames, size)


@register_backbone("mvit_v2_s")
def mvit_v2_s(*, frames: int = 16, size: int = 224) -> Backbone:
    """MViTv2-S 16x4 (Li et al., CVPR 2022). 34.2 M parameters.

    Args:
        frames: Of all its clips.
        size: Side of all its clips in px.

    Returns:
        The backbone, randomly initialised.
    """
    from torchvision.models.video import mvit_v2_s

    return _mvit("mvit_v2_s", mvit_v2_s, frames, size)


def _mvit(name: str, builder: Callable[..., Any], frames: int, size: int) -> Backbone:
    if frames < 2 or frames % 2 or size < 32 or size % 32:
        raise ValueError(f"frames={frames} of {size} px do not fit {name!r}: an even number, of a multiple of 32 px")
    network = builder()
    _resize(network.pos_encoding, (frames // 2, size // 4, size // 4))
    width, last = network.norm.normalized_shape[0], len(network.blocks) - 1
    dead = "what comes after it reads the class token alone; put it before the block"
    inside = "tokens lie there without their grid; put it before or after the whole block, or its attention"
    return Backbone(
        module=MViTTokens(network),
        feature_dim=width,
        input=InputSpec(frames=frames, stride=4, size=size, resize=round(size * 8 / 7), mean=_MVIT_MEAN, std=_MVIT_STD),
        classifier="head.1",
        pretrained=torchvision_weights(name, licence="BSD-3-Clause, ported from Apache-2.0"),
        formats=(
            FormatRule(rf"blocks\.{last}\.(attn\.)?end", None, dead),
            FormatRule(r"blocks\.\d+(\.attn)?(\.end)?", _CLASS_TOKEN),
            FormatRule(r"(blocks|pos_encoding|norm)\b.*", None, inside),
        ),
        output_format=FeatureFormat(TOKENS, prefix=1, grid=(frames // 2, size // 32, size // 32)),
        tail=ClassToken(),
        tail_dim=width,
        fixed={"frames": "frames", "size": "size"},
    )


def _resize(positions: Any, grid: tuple[int, int, int]) -> None:
    """Make the positions of an MViT those of another ``grid``: version 1 learns them anew; version 2 has relative ones,
    which torchvision interpolates.
    """
    if grid == (positions.temporal_size, *positions.spatial_size):
        return
    positions.temporal_size, positions.spatial_size = grid[0], grid[1:]
    if positions.spatial_pos is not None:
        width = positions.spatial_pos.shape[1]
        for name, length in (("temporal_pos", grid[0]), ("spatial_pos", grid[1] * grid[2])):
            setattr(positions, name, nn.Parameter(nn.init.trunc_normal_(torch.empty(length, width), std=0.02)))


@register_backbone("swin3d_t")
def swin3d_t() -> Backbone:
    """Video Swin-T (Liu et al., CVPR 2022). 27.9 M parameters. Stages: ``features.0``, ``.2``, ``.4``, ``.6``.

    Returns:
        The backbone, randomly initialised.
    """
    from torchvision.models.video import swin3d_t

    return _swin3d("swin3d_t", swin3d_t)


@register_backbone("swin3d_s")
def swin3d_s() -> Backbone:
    """Video Swin-S (Liu et al., CVPR 2022). 49.5 M parameters.

    Returns:
        The backbone, randomly initialised.
    """
    from torchvision.models.video import swin3d_s

    return _swin3d("swin3d_s", swin3d_s)


@register_backbone("swin3d_b")
def swin3d_b() -> Backbone:
    """Video Swin-B (Liu et al., CVPR 2022). 87.6 M parameters.

    Returns:
        The backbone, randomly initialised.
    """
    from torchvision.models.video import swin3d_b

    return _swin3d("swin3d_b", swin3d_b)


def _swin3d(name: str, builder: Callable[[], Any]) -> Backbone:
    network = builder()
    module = stack(network, "patch_embed", "pos_drop", "features", "norm")
    module.add_module("permute", ChannelsFirst())
    return Backbone(
        module=module,
        feature_dim=network.num_features,
        input=InputSpec(frames=32, stride=2, size=224, resize=256, mean=IMAGENET_MEAN, std=IMAGENET_STD),
        aliases={f"res{number + 2}": f"features.{2 * number}" for number in range(4)},
        classifier="head",
        pretrained=torchvision_weights(name, licence="BSD-3-Clause, ported from Apache-2.0"),
        formats=(FormatRule(r"(features|norm|pos_drop|patch_embed\.norm)\b.*|patch_embed\.end|permute", LAST),),
    )


@register_backbone("swin_t")
def swin_t() -> Backbone:
    """Swin-T (Liu et al., ICCV 2021) per frame. 27.5 M parameters. Stages: ``features.1``, ``.3``, ``.5``, ``.7``.

    Returns:
        The backbone, randomly initialised.
    """
    from torchvision.models import swin_t

    return _swin("swin_t", swin_t)


@register_backbone("swin_s")
def swin_s() -> Backbone:
    """Swin-S (Liu et al., ICCV 2021) per frame. 48.8 M parameters.

    Returns:
        The backbone, randomly initialised.
    """
    from torchvision.models import swin_s

    return _swin("swin_s", swin_s)


@register_backbone("swin_b")
def swin_b() -> Backbone:
    """Swin-B (Liu et al., ICCV 2021) per frame. 86.7 M parameters.

    Returns:
        The backbone, randomly initialised.
    """
    from torchvision.models import swin_b

    return _swin("swin_b", swin_b)


def _swin(name: str, builder: Callable[[], Any]) -> Backbone:
    network = builder()
    module = stack(network, "features", "norm")
    module.add_module("permute", ChannelsFirst())
    return Backbone(
        module=module,
        feature_dim=network.norm.normalized_shape[0],
        input=image_input(name),
        dims=2,
        aliases={f"res{number + 2}": f"features.{2 * number + 1}" for number in range(4)},
        classifier="head",
        pretrained=torchvision_weights(name),
        formats=(
            FormatRule(r"features\.0\.0(\.end)?|features\.0\.1|features\.0|features", FIRST),
            FormatRule(r"features\..*|norm(\.end)?|permute", LAST),
        ),
    )
