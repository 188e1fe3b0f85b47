"""OSNet, omni-scale features for re-identification, run on each frame of a clip; inserted blocks see all frames.

- OSNet: "Omni-scale feature learning for person re-identification" (Zhou et al., ICCV 2019, 1905.00953);
- OSNet-IBN and OSNet-AIN: "Learning generalisable omni-scale representations for person re-identification" (Zhou et
  al., TPAMI 2021, 1910.06827): instance norms after the first blocks, or inside blocks, as found by the paper's search.

A block computes, with F_t a chain of t light 3x3 convolutions (receptive field 2t + 1) and one gate G shared by all,

    Y = relu(shortcut(X) + conv1x1( sum_{t = 1..4} G(F_t(X')) · F_t(X') )),   X' = conv1x1(X).

Layer names are those of torchreid, so that its checkpoints load as they are. Its embedding comes from a hidden layer
after the mean over space (``fc``: linear, batch norm, ReLU), which is the tail here.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from specvid.models.backbones.registry import register_backbone
from specvid.models.backbones.torchvision_image import PooledTail
from specvid.models.spec import IMAGENET_MEAN, IMAGENET_STD, Backbone, InputSpec

CHANNELS = (64, 256, 384, 512)
"""Of conv1 to conv4 at width 1."""

WIDTHS = {"x1_0": 1.0, "x0_75": 0.75, "x0_5": 0.5, "x0_25": 0.25}
EMBEDDING = 512

Norms = tuple[tuple[str, str], ...]
"""Where the instance norms of the two blocks of conv2, conv3 and conv4 stand: ``""``, ``after`` or ``inside``."""

PLAIN: Norms = (("", ""), ("", ""), ("", ""))
IBN: Norms = (("after", "after"), ("", ""), ("", ""))
AIN: Norms = (("inside", "inside"), ("", "inside"), ("inside", ""))


class ConvNorm(nn.Sequential):
    """Convolution, norm, and a ReLU unless it is ``linear``: (N, I, H, W) -> (N, O, H / stride, W / stride)."""

    def __init__(
        self, channels: int, *, out: int, kernel: int = 1, stride: int = 1, norm: str = "batch", linear: bool = False
    ) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv"] = nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, bias=False)
        if norm != "none":
            layers["bn"] = nn.InstanceNorm2d(out, affine=True) if norm == "instance" else nn.BatchNorm2d(out)
        if not linear:
            layers["relu"] = nn.ReLU(inplace=True)
        super().__init__(layers)


class LightConv(nn.Sequential):
    """A 3x3 convolution factorised into a 1x1 and a depthwise 3x3 one, batch norm, ReLU: (N, C, H, W) -> the same."""

    def __init__(self, channels: int) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv1"] = nn.Conv2d(channels, channels, 1, bias=False)
        layers["conv2"] = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        layers["bn"] = nn.BatchNorm2d(channels)
        layers["relu"] = nn.ReLU(inplace=True)
        super().__init__(layers)


class ChannelGate(nn.Module):
    """x · sigmoid(fc2(relu(fc1(mean over space of x)))): (N, C, H, W) -> the same."""

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(pooled))))


class OmniScaleBlock(nn.Module):
    """Streams of one to four light convolutions, each gated by its own content, summed; a residual block.

    Args:
        channels: I.
        out: O, four times the width of the streams.
        norm: where an instance norm stands: ``""`` nowhere, ``after`` the sum, ``inside`` the residual.
        listed: name the streams ``conv2.0.layers`` ... as OSNet-AIN's checkpoints do, not ``conv2a`` ...
    """

    def __init__(self, channels: int, *, out: int, norm: str = "", listed: bool = False) -> None:
        super().__init__()
        inner = out // 4
        self.norm = norm
        self.conv1 = ConvNorm(channels, out=inner)
        streams = [[LightConv(inner) for _ in range(depth)] for depth in (1, 2, 3, 4)]
        if listed:
            self.conv2 = nn.ModuleList(nn.Sequential(OrderedDict(layers=nn.Sequential(*one))) for one in streams)
            self.names = tuple(f"conv2.{number}" for number in range(4))
        else:
            self.names = tuple(f"conv2{letter}" for letter in "abcd")
            for name, one in zip(self.names, streams, strict=True):
                self.add_module(name, one[0] if len(one) == 1 else nn.Sequential(*one))
        self.gate = ChannelGate(inner)
        self.conv3 = ConvNorm(inner, out=out, norm="none" if norm == "inside" else "batch", linear=True)
        self.downsample = ConvNorm(channels, out=out, linear=True) if channels != out else nn.Identity()
        if norm:
            self.IN = nn.InstanceNorm2d(out, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) -> (N, O, H, W)."""
        inner = self.conv1(x)
        first, *rest = (self.gate(self.get_submodule(name)(inner)) for name in self.names)
        y = self.conv3(sum(rest, first))
        if self.norm == "inside":
            y = self.IN(y)
        y = y + self.downsample(x)
        return torch.relu(self.IN(y) if self.norm == "after" else y)


def build_osnet(width: float, *, norms: Norms = PLAIN) -> Backbone:
    """OSNet of one width.

    Args:
        width: factor on the channels.
        norms: where instance norms stand; with any of them in conv2 the stem has one too.

    Returns:
        The backbone, (N, 3, H, W) -> (N, 512 · width, H / 16, W / 16), with a tail that gives 512 numbers.
    """
    channels = [int(count * width) for count in CHANNELS]
    listed = norms == AIN
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    stem = "instance" if norms[0][0] else "batch"
    stages["conv1"] = ConvNorm(3, out=channels[0], kernel=7, stride=2, norm=stem)
    stages["maxpool"] = nn.MaxPool2d(3, stride=2, padding=1)
    for number, two in enumerate(norms, start=2):
        before, out = channels[number - 2 : number]
        blocks: list[nn.Module] = [
            OmniScaleBlock(before if i == 0 else out, out=out, norm=norm, listed=listed) for i, norm in enumerate(two)
        ]
        shrink = nn.Sequential(ConvNorm(out, out=out), nn.AvgPool2d(2, stride=2))
        if number < 4 and not listed:
            blocks.append(shrink)
        stages[f"conv{number}"] = nn.Sequential(*blocks)
        if number < 4 and listed:
            stages[f"pool{number}"] = shrink
    stages["conv5"] = ConvNorm(channels[-1], out=channels[-1])
    network = nn.Sequential(stages)
    hidden = nn.Sequential(nn.Linear(channels[-1], EMBEDDING), nn.BatchNorm1d(EMBEDDING), nn.ReLU(inplace=True))
    _initialise(network, hidden)
    network.to(memory_format=torch.channels_last)
    return Backbone(
        module=network,
        feature_dim=channels[-1],
        input=InputSpec(frames=8, stride=1, size=(256, 128), resize=(256, 128), mean=IMAGENET_MEAN, std=IMAGENET_STD),
        dims=2,
        aliases={f"res{number}": f"conv{number}" for number in (2, 3, 4)},
        classifier="classifier",
        tail=PooledTail("fc", hidden),
        tail_dim=EMBEDDING,
    )


def _initialise(*parts: nn.Module) -> None:
    """He's normal initialisation (fan out) of convolutions, a narrow one of linear layers, as torchreid's."""
    for module in (module for part in parts for module in part.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _enter(name: str, width: float, norms: Norms, paper: str) -> None:
    """Register one of the family."""

    def builder() -> Backbone:
        return build_osnet(width, norms=norms)

    builder.__doc__ = f"{paper} per frame, {width:g} times as wide; torchreid's {name}."
    builder.__name__ = builder.__qualname__ = name
    register_backbone(name)(builder)


for _suffix, _width in WIDTHS.items():
    _enter(f"osnet_{_suffix}", _width, PLAIN, "OSNet (Zhou et al., ICCV 2019)")
    _enter(f"osnet_ain_{_suffix}", _width, AIN, "OSNet-AIN (Zhou et al., TPAMI 2021)")
_enter("osnet_ibn_x1_0", 1.0, IBN, "OSNet-IBN (Zhou et al., ICCV 2019)")
