"""R3D-tiny: a residual 3D network for CPUs, synthetic clips and tests. 75 k parameters.

The bottleneck blocks of ResNet-50 (He et al., CVPR 2016, https://arxiv.org/abs/1512.03385), inflated to 3D (as by Wang
et al., CVPR 2018, https://arxiv.org/abs/1711.07971), few and narrow. One 3x3x3 convolution a block keeps it **local**:
with the default ``depths`` an output sees 11 frames x 19 x 19 px (`specvid.models.backbones.receptive_field` computes
it), so what depends on things that lie farther apart is out of its reach until a nonlocal block is inserted.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from specvid.models.backbones.registry import register_backbone
from specvid.models.spec import Backbone, InputSpec

_STAGES = {f"res{number + 1}": f"layer{number}" for number in range(1, 5)}


class Bottleneck(nn.Module):
    """``relu(shortcut(x) + conv1x1x1(conv3x3x3(conv1x1x1(x))))``, with batch norms and ReLUs between.

    (B, channels, T, H, W) -> (B, out_channels, T / stride, H / stride, W / stride), rounded up.

    Args:
        channels: Of the input.
        out_channels: Of the output; half as many between the convolutions.
        stride: Of the middle convolution in time, height and width.
    """

    def __init__(self, channels: int, *, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        inner = out_channels // 2
        self.conv1, self.bn1 = _conv(channels, inner, kernel=1)
        self.conv2, self.bn2 = _conv(inner, inner, kernel=3, stride=stride)
        self.conv3, self.bn3 = _conv(inner, out_channels, kernel=1)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out_channels:
            self.downsample = nn.Sequential(*_conv(channels, out_channels, kernel=1, stride=stride))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


@register_backbone("r3d_tiny")
def r3d_tiny(*, width: int = 16, depths: Sequence[int] = (1, 2)) -> Backbone:
    """A small 3D ResNet of bottlenecks.

    The stem halves height and width. Each layer doubles the channels; from layer2 on it halves all three sides.

    Args:
        width: Channels of the stem.
        depths: Bottlenecks of layer1, layer2, ... (one to four layers).

    Returns:
        The backbone, randomly initialised.

    Raises:
        ValueError: A width or depth is no integer >= 1, or there are not one to four layers.
    """
    if not isinstance(width, int) or width < 1:
        raise ValueError(f"width is {width!r}; it must be an integer >= 1 (channels of the stem)")
    if not 1 <= len(depths) <= 4 or any(not isinstance(depth, int) or depth < 1 for depth in depths):
        raise ValueError(f"depths is {depths!r}; it takes one to four integers >= 1 (blocks of layer1, layer2, ...)")
    conv, norm = _conv(3, width, kernel=3, stride=(1, 2, 2))
    stages: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Sequential(conv, norm, nn.ReLU(inplace=True)))
    channels = width
    for number, depth in enumerate(depths, start=1):
        first = Bottleneck(channels, out_channels=2 * channels, stride=1 if number == 1 else 2)
        channels *= 2
        stages[f"layer{number}"] = nn.Sequential(
            first, *(Bottleneck(channels, out_channels=channels) for _ in range(depth - 1))
        )
    network = nn.Sequential(stages)
    _initialise(network)
    network.to(memory_format=torch.channels_last_3d)  # trains so narrow a network 1.4x as fast on a CPU
    return Backbone(
        module=network,
        feature_dim=channels,
        input=InputSpec(frames=8, stride=2, size=40, resize=40),
        aliases={alias: stage for alias, stage in _STAGES.items() if stage in stages},
    )


def _conv(
    channels: int, out_channels: int, *, kernel: int, stride: int | tuple[int, int, int] = 1
) -> tuple[nn.Conv3d, nn.BatchNorm3d]:
    conv = nn.Conv3d(channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False)
    return conv, nn.BatchNorm3d(out_channels)


def _initialise(network: nn.Module) -> None:
    """As torchvision's ResNets: He's normal initialisation (fan out); batch norms already are the identity."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
