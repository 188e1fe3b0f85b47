"""Which weights torchvision publishes for its networks, and their inputs: from its own lists, read when asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from specvid.models.spec import IMAGENET_MEAN, IMAGENET_STD, InputSpec, Pretrained

# torchvision's names of weights -> ours, the best first; it publishes others under licences of their own (SWAG)
_NAMES = {
    "IMAGENET1K_V2": ("imagenet", "ImageNet-1k"),
    "IMAGENET1K_V1": ("imagenet_v1", "ImageNet-1k"),
    "KINETICS400_V1": ("kinetics400", "Kinetics-400"),
    "KINETICS400_IMAGENET22K_V1": ("kinetics400_22k", "ImageNet-22k, Kinetics-400"),
}


def torchvision_weights(name: str, *, licence: str = "BSD-3-Clause") -> Mapping[str, Pretrained]:
    """The weights that torchvision publishes for a network.

    Args:
        name: torchvision's name.
        licence: Under which they come.

    Returns:
        By name: ``imagenet`` (and ``imagenet_v1``, the older ones, where there are two) or ``kinetics400``.
    """
    from torchvision.models import get_model_weights

    published = {weights.name: weights.url for weights in get_model_weights(name)}
    found: dict[str, Pretrained] = {}
    for theirs, (ours, data) in _NAMES.items():
        if theirs in published:
            ours = "imagenet" if ours == "imagenet_v1" and "IMAGENET1K_V2" not in published else ours
            found[ours] = Pretrained(published[theirs], data=data, licence=licence)
    return found


def image_input(name: str) -> InputSpec:
    """The clips for an image network: 8 frames, in the size its weights were made for.

    Args:
        name: torchvision's name.

    Returns:
        The clips.
    """
    from torchvision.models import get_model_weights

    keywords = next(iter(get_model_weights(name))).transforms.keywords
    size = keywords["crop_size"]
    resize = 256 if size == 224 else keywords["resize_size"]  # 224 px have always been cut from 256
    return InputSpec(frames=8, stride=8, size=size, resize=resize, mean=IMAGENET_MEAN, std=IMAGENET_STD)


def on_cpu_at_least(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network that computes with numbers while it is built, which the meta device does not have.

    Args:
        build: Builds it.

    Returns:
        The network, on the meta device where that is the default device.
    """
    device = torch.get_default_device()
    if device.type != "meta":
        return build()
    with torch.device("cpu"):
        return build().to(device)
