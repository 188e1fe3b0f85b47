"""GhostNet (Han et al., CVPR 2020, 1911.11907, table 1) per frame: bottlenecks of ghost modules.

A bottleneck widens its input by one ghost module with a ReLU and narrows it by one without; between them lie, where the
resolution halves, a depthwise convolution, and in some squeeze-and-excitation. Names of parameters in the authors' and
timm's checkpoints are read (`specvid.models.weights.names`).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

from specvid.models.backbones.registry import register_backbone
from specvid.models.convolutions import create_convolution
from specvid.models.spec import IMAGENET_MEAN, IMAGENET_STD, Backbone, InputSpec

# Stages of bottlenecks: window, channels inside, channels out, squeeze-and-excitation, stride
STAGES: tuple[tuple[tuple[int, int, int, bool, int], ...], ...] = (
    ((3, 16, 16, False, 1),),
    ((3, 48, 24, False, 2),),
    ((3, 72, 24, False, 1),),
    ((5, 72, 40, True, 2),),
    ((5, 120, 40, True, 1),),
    ((3, 240, 80, False, 2),),
    (
        (3, 200, 80, False, 1),
        (3, 184, 80, False, 1),
        (3, 184, 80, False, 1),
        (3, 480, 112, True, 1),
        (3, 672, 112, True, 1),
    ),
    ((5, 672, 160, True, 2),),
    ((5, 960, 160, False, 1), (5, 960, 160, True, 1), (5, 960, 160, False, 1), (5, 960, 160, True, 1)),
)
STEM, LAST, HIDDEN = 16, 960, 1280


def divisible(channels: float, by: int = 4) -> int:
    """The nearest multiple of a number that is not more than a tenth less.

    Args:
        channels: How many are wanted.
        by: The number.

    Returns:
        The multiple, at least the number itself.
    """
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded


class SqueezeExcitation(nn.Module):
    """x · hard sigmoid(W_2 relu(W_1 mean of x)), (N, C, H, W) -> the same.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, divisible(channels / 4), 1)
        self.conv_expand = nn.Conv2d(divisible(channels / 4), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.conv_expand(self.conv_reduce(x.mean((2, 3), keepdim=True)).relu()))


class GhostBottleneck(nn.Module):
    """A residual block of two ghost modules, (N, C, H, W) -> (N, out, H / stride, W / stride).

    Args:
        channels: C.
        kernel: Window of the depthwise convolutions.
        inner: Channels between the ghost modules.
        out: Channels of the output.
        excite: With squeeze-and-excitation.
        stride: 1 or 2.
    """

    def __init__(self, channels: int, *, kernel: int, inner: int, out: int, excite: bool, stride: int) -> None:
        super().__init__()

        def depthwise(width: int) -> nn.Conv2d:
            return nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width, bias=False)

        def ghost(narrow: int, wide: int, relu: bool) -> nn.Module:
            return create_convolution("ghost", narrow, dims=2, out_channels=wide, kernel_size=1, relu=relu)

        self.ghost1 = ghost(channels, inner, True)
        if stride > 1:
            self.conv_dw, self.bn_dw = depthwise(inner), nn.BatchNorm2d(inner)
        self.stride = stride
        self.se = SqueezeExcitation(inner) if excite else nn.Identity()
        self.ghost2 = ghost(inner, out, False)
        self.shortcut = nn.Sequential()
        if stride > 1 or channels != out:
            self.shortcut.extend(
                [
                    depthwise(channels),
                    nn.BatchNorm2d(channels),
                    nn.Conv2d(channels, out, 1, bias=False),
                    nn.BatchNorm2d(out),
                ]
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.ghost1(x)
        if self.stride > 1:
            y = self.bn_dw(self.conv_dw(y))
        return self.ghost2(self.se(y)) + self.shortcut(x)


class GhostTail(nn.Module):
    """Mean over space, and a hidden layer: (N, C, H, W) -> (N, 1280).

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_head = nn.Conv2d(channels, HIDDEN, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_head(x.mean((2, 3), keepdim=True)).relu().flatten(1)


@register_backbone("ghostnet")
def build_ghostnet(*, width: float = 1.0) -> Backbone:
    """GhostNet (Han et al., CVPR 2020) per frame.

    Args:
        width: Factor on the channels; 0.5, 1.0 and 1.3 are published.

    Returns:
        The backbone, randomly initialised.

    Raises:
        ValueError: ``width`` is no number greater than 0.
    """
    if isinstance(width, bool) or not isinstance(width, int | float) or not 0 < width <= 16:
        raise ValueError(f"width={width!r} of backbone 'ghostnet' must be a number greater than 0, and at most 16")
    channels = divisible(STEM * width)
    stem = [
        ("conv_stem", nn.Conv2d(3, channels, 3, 2, 1, bias=False)),
        ("bn1", nn.BatchNorm2d(channels)),
        ("act1", nn.ReLU(inplace=True)),
    ]
    stages: list[nn.Module] = []
    for stage in STAGES:
        bottlenecks: list[nn.Module] = []
        for kernel, inner, out, excite, stride in stage:
            wide, narrow = divisible(inner * width), divisible(out * width)
            bottlenecks.append(
                GhostBottleneck(channels, kernel=kernel, inner=wide, out=narrow, excite=excite, stride=stride)
            )
            channels = narrow
        stages.append(nn.Sequential(*bottlenecks))
    last = divisible(LAST * width)
    closing = OrderedDict(
        conv=nn.Conv2d(channels, last, 1, bias=False), bn1=nn.BatchNorm2d(last), act=nn.ReLU(inplace=True)
    )
    stages.append(nn.Sequential(nn.Sequential(closing)))
    return Backbone(
        module=nn.Sequential(OrderedDict([*stem, ("blocks", nn.Sequential(*stages))])),
        feature_dim=last,
        input=InputSpec(frames=8, stride=8, size=224, resize=256, mean=IMAGENET_MEAN, std=IMAGENET_STD),
        dims=2,
        classifier="classifier",
        tail=GhostTail(last),
        tail_dim=HIDDEN,
    )
