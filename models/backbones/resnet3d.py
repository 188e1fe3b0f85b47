"""3D ResNets of Hara et al., "Can spatiotemporal 3D CNNs retrace the history of 2D CNNs and ImageNet?" (CVPR 2018).

Every convolution of the ResNet has three dimensions, the first one is 7x7x7 and halves space alone, and the pooling
behind it halves time too. Layer names are those of the authors' code (https://github.com/kenshohara/3D-ResNets-PyTorch),
so that its checkpoints load; they lie on a drive that has no plain addresses.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

from specvid.errors import unknown
from specvid.models.backbones.registry import register_backbone
from specvid.models.backbones.torchvision_video import RES_STAGES
from specvid.models.spec import Backbone, InputSpec

SHORTCUTS = ("A", "B")
_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_INPUT = InputSpec(
    frames=16, stride=1, size=112, resize=112, mean=(0.4345, 0.4051, 0.3775), std=(0.2768, 0.2713, 0.2737)
)


class PaddedShortcut(nn.Module):
    """Shortcut of type A: every ``stride``-th position, and zeros for the channels that are missing.

    (B, channels, T, H, W) -> (B, out_channels, T / stride, H / stride, W / stride), rounded up.

    Args:
        channels: Of the input.
        out_channels: Of the output.
        stride: In time, height and width.
    """

    def __init__(self, channels: int, *, out_channels: int, stride: int) -> None:
        super().__init__()
        self.more, self.stride = out_channels - channels, stride

    def forward(self, x: Tensor) -> Tensor:
        step = self.stride
        return F.pad(x[:, :, ::step, ::step, ::step], (0, 0, 0, 0, 0, 0, 0, self.more))


class ResidualBlock(nn.Module):
    """``relu(shortcut(x) + branch(x))``; the branch is 3x3x3, 3x3x3, or with ``bottleneck`` 1x1x1, 3x3x3, 1x1x1.

    (B, channels, T, H, W) -> (B, out_channels, T / stride, H / stride, W / stride), rounded up.

    Args:
        channels: Of the input.
        out_channels: Of the output.
        stride: In time, height and width.
        bottleneck: Which of the two branches.
        shortcut: Type ``A`` (`PaddedShortcut`) or ``B`` (a convolution), where the shape changes.
    """

    def __init__(self, channels: int, *, out_channels: int, stride: int, bottleneck: bool, shortcut: str) -> None:
        super().__init__()
        inner = out_channels // 4 if bottleneck else out_channels
        kernels, strides = ((1, 3, 1), (1, stride, 1)) if bottleneck else ((3, 3), (stride, 1))
        widths = (channels, *[inner] * (len(kernels) - 1), out_channels)
        for i, (kernel, step) in enumerate(zip(kernels, strides, strict=True)):
            conv = nn.Conv3d(widths[i], widths[i + 1], kernel, stride=step, padding=kernel // 2, bias=False)
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"bn{i + 1}", nn.BatchNorm3d(widths[i + 1]))
        self.layers = len(kernels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out_channels:
            self.downsample = (
                PaddedShortcut(channels, out_channels=out_channels, stride=stride)
                if shortcut == "A"
                else nn.Sequential(
                    nn.Conv3d(channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm3d(out_channels)
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i in range(1, self.layers + 1):
            y = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(y))
            if i < self.layers:
                y = self.relu(y)
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def _build(depth: int, shortcut: str) -> Backbone:
    if shortcut not in SHORTCUTS:
        raise unknown("shortcut", str(shortcut), SHORTCUTS)
    bottleneck = depth >= 50
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv1"] = nn.Conv3d(3, 64, 7, stride=(1, 2, 2), padding=3, bias=False)
    layers["bn1"], layers["relu"] = nn.BatchNorm3d(64), nn.ReLU(inplace=True)
    layers["maxpool"] = nn.MaxPool3d(3, stride=2, padding=1)
    channels = 64
    for stage, blocks in enumerate(_DEPTHS[depth]):
        out = 64 * 2**stage * (4 if bottleneck else 1)
        made = []
        for i in range(blocks):
            stride = 2 if stage > 0 and i == 0 else 1
            made.append(
                ResidualBlock(channels, out_channels=out, stride=stride, bottleneck=bottleneck, shortcut=shortcut)
            )
            channels = out
        layers[f"layer{stage + 1}"] = nn.Sequential(*made)
    module = nn.Sequential(layers)
    for layer in module.modules():
        if isinstance(layer, nn.Conv3d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return Backbone(module=module, feature_dim=channels, input=_INPUT, aliases=RES_STAGES)


def _enter(depth: int) -> None:
    def build(*, shortcut: str = "B") -> Backbone:
        return _build(depth, shortcut)

    build.__doc__ = f"""3D ResNet-{depth} of Hara et al.: 16 frames of 112 px become 1 of 4 x 4.

    ``shortcut``: ``B``, a convolution where the shape changes, or ``A``, zeros for new channels, as in the authors'
    first checkpoints of 18 and 34 layers.
    """
    build.__name__ = build.__qualname__ = f"resnet3d_{depth}"
    register_backbone(build.__name__)(build)


for _depth in _DEPTHS:
    _enter(_depth)
