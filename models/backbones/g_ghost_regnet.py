"""G-Ghost RegNet (Han et al., IJCV 2022, 2201.03297, section 4) per frame: ghost features of a whole stage, for GPUs.

    x_0 = B_1(x),   (e_0, g) = split(x_0),   e_k = B_k(e_(k-1)),   m = mix(mean over positions of [x_0; e_1; ...])
    y = B_n([e_(n-2); relu(norm(C g) + m)])

The blocks between the first and the last of a stage see about half of the channels (e); the other half (g) is made of
the first block's by one 1x1 convolution C, with what the blocks found added as one vector m. The blocks are RegNet's.
Names of parameters are those of the authors' checkpoints (Efficient-AI-Backbones).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from specvid.models.backbones.registry import register_backbone
from specvid.models.backbones.torchvision_video import RES_STAGES
from specvid.models.spec import IMAGENET_MEAN, IMAGENET_STD, Backbone, InputSpec

STEM, SHARE, NARROWER = 32, 0.5, 0.75  # share of the ghost channels; groups among the others are narrower
DEPTHS, WIDTHS, GROUP_WIDTH = (2, 6, 15, 2), (96, 192, 432, 1008), 48  # of RegNetX-3.2GF


class Block(nn.Module):
    """RegNet's residual block: 1x1, 3x3 in groups, 1x1, (N, C, H, W) -> (N, out, H / stride, W / stride).

    Args:
        channels: C.
        out: Channels of the output, and inside.
        group_width: Channels of a group of the 3x3 convolution.
        stride: 1 or 2.
    """

    def __init__(self, channels: int, *, out: int, group_width: int, stride: int = 1) -> None:
        super().__init__()
        groups = out // min(out, group_width)
        self.conv1, self.bn1 = nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.conv3, self.bn3 = nn.Conv2d(out, out, 1, bias=False), nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride > 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class GhostStage(nn.Module):
    """A stage of which part of the channels are ghost features, (N, C, H, W) -> (N, out, H / 2, W / 2).

    Args:
        channels: C.
        out: Channels of the output.
        depth: Blocks, at least three.
        group_width: Of the first and the last block.
    """

    def __init__(self, channels: int, *, out: int, depth: int, group_width: int) -> None:
        super().__init__()
        narrow = int(group_width * NARROWER)
        self.kept = int(out * (1 - SHARE) / narrow) * narrow  # channels of e
        ghost = out - self.kept
        self.base = Block(channels, out=out, group_width=group_width, stride=2)
        self.layers = nn.Sequential(*(Block(self.kept, out=self.kept, group_width=narrow) for _ in range(depth - 2)))
        self.end = Block(out, out=out, group_width=group_width)
        self.cheap = nn.Sequential(nn.Conv2d(ghost, ghost, 1, bias=False), nn.BatchNorm2d(ghost))
        self.merge = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(out + (depth - 2) * self.kept, ghost, 1, bias=False),
            nn.BatchNorm2d(ghost),
            nn.ReLU(inplace=True),
            nn.Conv2d(ghost, ghost, 1, bias=False),
            nn.BatchNorm2d(ghost),
        )

    def forward(self, x: Tensor) -> Tensor:
        first = self.base(x)
        e, seen = first[:, : self.kept], [first]
        for block in self.layers:
            e = block(e)
            seen.append(e)
        g = (self.cheap(first[:, self.kept :]) + self.merge(torch.cat(seen, dim=1))).relu()
        return self.end(torch.cat((e, g), dim=1))


@register_backbone("g_ghost_regnet_x_3_2gf")
def build_g_ghost_regnet() -> Backbone:
    """G-Ghost RegNetX-3.2GF (Han et al., IJCV 2022) per frame.

    Returns:
        The backbone, randomly initialised.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, STEM, 3, 2, 1, bias=False), bn1=nn.BatchNorm2d(STEM), relu=nn.ReLU(inplace=True)
    )
    channels = STEM
    for number, (depth, width) in enumerate(zip(DEPTHS, WIDTHS, strict=True), start=1):
        stage: nn.Module
        if depth > 2:
            stage = GhostStage(channels, out=width, depth=depth, group_width=GROUP_WIDTH)
        else:
            first = Block(channels, out=width, group_width=GROUP_WIDTH, stride=2)
            stage = nn.Sequential(first, *(Block(width, out=width, group_width=GROUP_WIDTH) for _ in range(1, depth)))
        layers[f"layer{number}"], channels = stage, width
    network = nn.Sequential(layers)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return Backbone(
        module=network,
        feature_dim=channels,
        input=InputSpec(frames=8, stride=8, size=224, resize=256, mean=IMAGENET_MEAN, std=IMAGENET_STD),
        dims=2,
        aliases=RES_STAGES,
        classifier="fc",
    )
