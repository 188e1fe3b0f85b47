"""Inflation of an image network to a video network (Carreira & Zisserman, "Quo vadis, action recognition?", CVPR 2017).

Every 2D layer becomes its 3D counterpart; a kernel is repeated over time and divided by its size in time, so that a
still clip gives in every frame what the image gives in the image network.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from specvid.errors import unknown

TIME_PADDINGS = ("replicate", "zeros")

# name of a layer -> its (kernel, stride) in time
TimePattern = Callable[[str], tuple[int, int]]


class InflatedConv3d(nn.Conv3d):
    """A 3D convolution padded with zeros in space and with copies of the first and last frame in time.

    Zeros in time (``time_padding = "zeros"``), which most published 3D networks use, make the ends of a still clip look
    like a cut from and to black.
    """

    time_padding = "replicate"

    def forward(self, x: Tensor) -> Tensor:
        assert not isinstance(self.padding, str)
        if self.time_padding == "zeros":
            return super().forward(x)
        time, height, width = self.padding
        x = F.pad(x, (0, 0, 0, 0, time, time), mode="replicate")
        return F.conv3d(x, self.weight, self.bias, self.stride, (0, height, width), self.dilation, self.groups)


def inflate_weight(weight_oihw: Tensor, time: int) -> Tensor:
    """Repeat an image kernel over time, divided by its number of frames (Carreira & Zisserman, CVPR 2017).

    Args:
        weight_oihw: (O, I, H, W).
        time: Frames of the new kernel.

    Returns:
        (O, I, time, H, W), with which a still clip gives what the image gave.
    """
    return weight_oihw[:, :, None].expand(-1, -1, time, -1, -1) / time


def inflate(
    network: nn.Module, time: TimePattern = lambda name: (1, 1), *, time_padding: str = "replicate"
) -> nn.Module:
    """Turn an image network into a video network in place. Parameters keep their names.

    Args:
        network: Convolutions, norms, pooling and elementwise functions.
        time: (kernel, stride) in time of each convolution and pooling, by its name.
        time_padding: ``replicate`` (see `InflatedConv3d`) or ``zeros``.

    Returns:
        ``network``.

    Raises:
        ValueError: ``time_padding`` is unknown, or a 2D layer has no counterpart here.
    """
    if time_padding not in TIME_PADDINGS:
        raise unknown("time_padding", time_padding, TIME_PADDINGS)
    for name, module in list(network.named_modules()):
        inflated = _inflate_layer(name, module, *time(name), time_padding)
        if inflated is not None:
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, inflated.train(module.training))
    return network


def _inflate_layer(name: str, layer: nn.Module, time: int, stride: int, time_padding: str) -> nn.Module | None:
    match layer:
        case nn.Conv2d():
            return _inflate_conv(name, layer, time, stride, time_padding)
        case nn.BatchNorm2d():
            norm = nn.BatchNorm3d(
                layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
            )
            norm.load_state_dict(layer.state_dict())
            return norm
        case nn.MaxPool2d():
            spatial = (_pair(layer.kernel_size), _pair(layer.stride), _pair(layer.padding), _pair(layer.dilation))
            kernel, strides, padding, dilation = (
                (t, *s) for t, s in zip((time, stride, time // 2, 1), spatial, strict=True)
            )
            return nn.MaxPool3d(kernel, strides, padding, dilation, ceil_mode=layer.ceil_mode)
        case nn.AvgPool2d():
            kernel, strides, padding = (
                (t, *s)
                for t, s in zip((1, 1, 0), map(_pair, (layer.kernel_size, layer.stride, layer.padding)), strict=True)
            )
            return nn.AvgPool3d(kernel, strides, padding, layer.ceil_mode, layer.count_include_pad)
        case nn.AdaptiveAvgPool2d():
            sizes = layer.output_size if isinstance(layer.output_size, tuple) else (layer.output_size,) * 2
            return nn.AdaptiveAvgPool3d((None, *sizes))
        case nn.Dropout2d():
            return nn.Dropout3d(layer.p)
        case _ if type(layer).__module__.startswith("torch.nn") and type(layer).__name__.endswith("2d"):
            raise ValueError(f"layer {name!r} is a {type(layer).__name__}, which cannot be inflated to 3D")
        case _:
            return None


def _inflate_conv(name: str, conv: nn.Conv2d, time: int, stride: int, time_padding: str) -> nn.Conv3d:
    if time % 2 == 0:
        raise ValueError(f"layer {name!r}: a kernel of {time} frames has no middle; use an odd number")
    if isinstance(conv.padding, str) or conv.padding_mode != "zeros":
        raise ValueError(
            f"layer {name!r} pads with {conv.padding!r} of {conv.padding_mode!r}; only numbers of zeros inflate"
        )
    kind = InflatedConv3d if time > 1 and time_padding == "replicate" else nn.Conv3d
    inflated = kind(
        conv.in_channels,
        conv.out_channels,
        (time, *_pair(conv.kernel_size)),
        stride=(stride, *_pair(conv.stride)),
        padding=(time // 2, *_pair(conv.padding)),
        dilation=(1, *_pair(conv.dilation)),
        groups=conv.groups,
        bias=conv.bias is not None,
        device="meta",
    )
    inflated.weight = nn.Parameter(inflate_weight(conv.weight.detach(), time).contiguous())
    inflated.bias = conv.bias
    return inflated


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
