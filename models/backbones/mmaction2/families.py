"""The backbones of mmaction2's recognisers that `create_model` takes, and what is to know of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.models.backbones.mmaction2.formats import SWIN, timesformer
from specvid.models.backbones.mmaction2.tails import C3DTail, X3DTail
from specvid.models.backbones.torchvision_video import RES_STAGES
from specvid.models.formats import FormatRule
from specvid.models.spec import IMAGENET_MEAN, IMAGENET_STD, InputSpec


def _input(frames: int, stride: int, size: int = 224, resize: int | tuple[int, int] = 256, **norm: Any) -> InputSpec:
    return InputSpec(frames, stride, size, resize, **({"mean": IMAGENET_MEAN, "std": IMAGENET_STD} | norm))


@dataclass(frozen=True)
class Family:
    """One class of mmaction2's backbones.

    Attributes:
        dims: 3, or 2 for those that run per frame.
        input: The clips of its usual config.
        heads: mmaction2's heads whose logits are our pooling and classifier behind this network.
        classifier: Name of the classifier in mmaction2's checkpoints.
        aliases: Short names of places.
        frames: Name of the option that fixes the clip length; empty for none.
        size: Name of the option that fixes the side of the frames; empty for none.
        defaults: Options in place of mmaction2's defaults, where those do not make a network.
        map_hook: Forward hook that makes what the network gives a feature map.
        formats: Makes the `FormatRule` of a network.
    """

    dims: int
    input: InputSpec
    heads: tuple[str, ...]
    classifier: str = "cls_head.fc_cls"
    aliases: Mapping[str, str] = field(default_factory=lambda: RES_STAGES)
    frames: str = ""
    size: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    map_hook: Callable[..., Tensor] | None = None
    formats: Callable[[Any], tuple[FormatRule, ...]] = lambda network: ()


def join_pathways(module: nn.Module, args: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> Tensor:
    """Forward hook of SlowFast: both pathways side by side, at the time steps of the slow one.

    The fast pathway is averaged over the steps that fall into each slow one; the mean of the result is that
    of SlowFastHead.

    Args:
        module: The network.
        args: Its arguments.
        output: Slow (B, C, T', H, W) and fast features (B, c, T, H, W).

    Returns:
        (B, c + C, T', H, W), the fast channels first.
    """
    slow, fast = output
    frames, height, width = slow.shape[2:]
    return torch.cat([F.adaptive_avg_pool3d(fast, (frames, height, width)), slow], dim=1)


def token_as_map(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    """Forward hook of TimeSformer: its class token as a feature map.

    Args:
        module: The network.
        args: Its arguments.
        output: (B, C).

    Returns:
        (B, C, 1, 1, 1).
    """
    return output[:, :, None, None, None]


def _timesformer_formats(network: Any) -> tuple[FormatRule, ...]:
    height, width = (side // patch for side, patch in zip(*_patches(network), strict=True))
    layers = len(network.transformer_layers.layers)
    return timesformer((network.num_frames, height, width), layers, space_only=network.attention_type == "space_only")


def _patches(network: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    return network.patch_embed.img_size, network.patch_embed.patch_size


SEGMENTS = _input(8, 8)
_GRAY = (114.75 / 255,) * 3, (57.38 / 255,) * 3
_SPORTS1M = {"mean": (104 / 255, 117 / 255, 128 / 255), "std": (1 / 255,) * 3}
_SLOWFAST_STAGES = {short: f"slow_path.{path}" for short, path in RES_STAGES.items()}
_SWIN_STAGES = {f"res{stage + 2}": f"layers.{stage}.blocks" for stage in range(4)}
_SEGMENT_HEADS = ("TSNHead", "TSMHead")

FAMILIES: dict[str, Family] = {
    # 2D, run per frame; those with ``frames`` mix the frames of a clip themselves
    "ResNet": Family(2, SEGMENTS, _SEGMENT_HEADS),
    "MobileNetV2": Family(2, SEGMENTS, _SEGMENT_HEADS, aliases={}),
    "ResNetTSM": Family(2, SEGMENTS, _SEGMENT_HEADS, frames="num_segments"),
    "ResNetTIN": Family(2, SEGMENTS, _SEGMENT_HEADS, frames="num_segments", defaults={"shift_div": 4}),
    "TANet": Family(2, SEGMENTS, _SEGMENT_HEADS, frames="num_segments", defaults={"num_segments": 8}),
    "MobileNetV2TSM": Family(2, SEGMENTS, _SEGMENT_HEADS, aliases={}, frames="num_segments"),
    # 3D
    "ResNet3d": Family(3, _input(32, 2), ("I3DHead",)),
    "ResNet3dSlowOnly": Family(3, _input(8, 8), ("I3DHead",)),
    "ResNet3dCSN": Family(3, _input(32, 2), ("I3DHead",)),
    "ResNet2Plus1d": Family(3, _input(8, 8), ("I3DHead",), defaults={"conv_cfg": {"type": "Conv2plus1d"}}),
    "ResNet3dSlowFast": Family(3, _input(32, 2), ("SlowFastHead",), aliases=_SLOWFAST_STAGES, map_hook=join_pathways),
    "X3D": Family(3, _input(16, 5, mean=_GRAY[0], std=_GRAY[1]), ("X3DHead",), "cls_head.fc2"),
    "C3D": Family(3, _input(16, 1, 112, (128, 171), **_SPORTS1M), ("I3DHead",), aliases={}),
    # transformers
    "SwinTransformer3D": Family(3, _input(32, 2), ("I3DHead",), aliases=_SWIN_STAGES, formats=lambda network: SWIN),
    "TimeSformer": Family(
        3,
        _input(8, 32, mean=(0.5,) * 3, std=(0.5,) * 3),
        ("TimeSformerHead",),
        aliases={},
        frames="num_frames",
        size="img_size",
        defaults={"num_frames": 8, "img_size": 224, "patch_size": 16},
        map_hook=token_as_map,
        formats=_timesformer_formats,
    ),
}


def make_tail(name: str, network: nn.Module, channels: int, *, fc1_bias: bool) -> tuple[nn.Module | None, int | None]:
    """What stands between the features of a network and its classifier.

    Args:
        name: Class of the network.
        network: An instance of it.
        channels: Of its features.
        fc1_bias: Whether the first layer of X3D's head has a bias.

    Returns:
        The module and the length of the vector that it gives; (None, None) for averaging alone.
    """
    if name == "X3D":
        return X3DTail(channels, bias=fc1_bias), 2048
    if name == "C3D":
        return C3DTail(network), 4096
    return None, None
