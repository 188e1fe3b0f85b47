"""HorNet (Rao et al., NeurIPS 2022, 2207.14284) per frame: recursive gated convolutions in the place of attention.

A block is x + γ_1 gnconv(norm(x)), then x + γ_2 MLP(norm(x)); the order of its products rises from stage to stage. The
gnconv is the block of that name (`specvid.models.blocks.long_range.gnconv`) without its residual. Names of parameters
in the authors' checkpoints are read (`specvid.models.weights.names`).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.models.backbones.registry import register_backbone
from specvid.models.blocks import create_block
from specvid.models.spec import IMAGENET_MEAN, IMAGENET_STD, Backbone, InputSpec

DEPTHS, ORDERS, SCALE, EPS = (2, 3, 18, 2), (2, 3, 4, 5), 1 / 3, 1e-6


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each position, (N, C, H, W) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class HorBlock(nn.Module):
    """One block, (N, C, H, W) -> the same.

    Args:
        channels: C.
        order: Of the recursive gated convolution.
    """

    def __init__(self, channels: int, order: int) -> None:
        super().__init__()
        form = {"order": order, "inner": channels, "scale": SCALE, "residual": False, "identity": False}
        self.norm1 = ChannelNorm(channels, eps=EPS)
        self.gnconv = create_block("gnconv", channels, dims=2, kernel=7, **form)
        self.norm2 = nn.LayerNorm(channels, eps=EPS)
        self.pwconv1, self.pwconv2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.gamma1, self.gamma2 = (nn.Parameter(torch.full((channels,), 1e-6)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.gamma1[:, None, None] * self.gnconv(self.norm1(x))
        hidden = F.gelu(self.pwconv1(self.norm2(x.movedim(1, -1))))
        return x + (self.gamma2 * self.pwconv2(hidden)).movedim(-1, 1)


class HorNet(nn.Module):
    """Four stages, each behind a step that lowers the resolution: (N, 3, H, W) -> (N, 8 · width, H / 32, W / 32).

    Args:
        width: Channels of the first stage.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width * 2**stage for stage in range(4)]
        steps = [nn.Sequential(nn.Conv2d(3, width, 4, 4), ChannelNorm(width, eps=EPS))]
        for narrow, wide in pairwise(widths):
            steps.append(nn.Sequential(ChannelNorm(narrow, eps=EPS), nn.Conv2d(narrow, wide, 2, 2)))
        self.downsample_layers = nn.ModuleList(steps)
        self.stages = nn.ModuleList(
            nn.Sequential(*(HorBlock(channels, order) for _ in range(depth)))
            for channels, order, depth in zip(widths, ORDERS, DEPTHS, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        for step, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(step(x))
        return x


class HorTail(nn.Module):
    """Mean over space and a layer norm: (N, C, H, W) -> (N, C).

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.mean((2, 3)))


@register_backbone("hornet_tiny")
def build_hornet_tiny() -> Backbone:
    """HorNet-T with windows of 7 x 7 (Rao et al., NeurIPS 2022) per frame.

    Returns:
        The backbone, randomly initialised.
    """
    network, width = HorNet(64), 512
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return Backbone(
        module=network,
        feature_dim=width,
        input=InputSpec(frames=8, stride=8, size=224, resize=256, mean=IMAGENET_MEAN, std=IMAGENET_STD),
        dims=2,
        aliases={f"res{number + 2}": f"stages.{number}" for number in range(4)},
        classifier="head",
        tail=HorTail(width),
        tail_dim=width,
    )
