"""Any of torchvision's purely convolutional image networks as a video network: ``inflated:efficientnet_b0``.

Every convolution with a window in space gets one of three frames in time, as in I3D (Carreira & Zisserman, CVPR 2017);
1x1 convolutions and pooling stay in their frame, and no layer has a stride in time, so T frames stay T. With the same
weights, a still clip gives in every frame what the image network gives.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from specvid.errors import unknown
from specvid.models.backbones.inflate import inflate
from specvid.models.backbones.registry import register_scheme
from specvid.models.backbones.torchvision_image import FAMILIES, build_image_backbone
from specvid.models.spec import Backbone

INFLATABLE = tuple(name for name, family in FAMILIES.items() if family.inflates)


@register_scheme("inflated")
def build_inflated(name: str, /, *, time: int = 3, time_padding: str = "replicate", last_stride: int = 2) -> Backbone:
    """Build one of torchvision's image networks with kernels of several frames.

    Args:
        name: torchvision's name, e.g. ``resnet50``.
        time: Frames of a kernel, an odd number.
        time_padding: ``replicate``, with which a still clip equals the image, or ``zeros``
            (`specvid.models.backbones.inflate`).
        last_stride: Stride of the last stage of ResNets and MobileNetV2, 1 or 2.

    Returns:
        The backbone, randomly initialised; ``imagenet`` weights are inflated as they are loaded.

    Raises:
        ValueError: The network is unknown or not made of convolutions alone, or an option has no such value.
    """
    if name not in INFLATABLE:
        if name in FAMILIES:
            raise ValueError(
                f"backbone 'inflated:{name}' is not possible: {name} is not made of convolutions alone. "
                f"These are: {', '.join(INFLATABLE)}."
            )
        raise unknown("backbone to inflate", name, INFLATABLE)
    if not isinstance(time, int) or time < 1 or time % 2 == 0:
        raise ValueError(
            f"time={time!r} of backbone 'inflated:{name}': a kernel has an odd number of frames, from 1 up"
        )
    backbone = build_image_backbone(name, last_stride=last_stride)
    spatial = {
        layer
        for layer, module in backbone.module.named_modules()
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
    }
    inflate(backbone.module, lambda layer: (time if layer in spatial else 1, 1), time_padding=time_padding)
    clip = replace(backbone.input, frames=16, stride=2)
    return replace(backbone, dims=3, input=clip)
