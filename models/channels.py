"""Networks made for RGB that take another number of channels: cross-modality initialisation.

Temporal Segment Networks (Wang et al., ECCV 2016, arXiv:1608.00859), section 3.2: the weights of the first convolution
are averaged over the RGB channels, and each channel of the new input gets that mean.
"""

from __future__ import annotations

from typing import TypeGuard

from torch import Tensor, nn

RGB = 3


def average_channels(weight: Tensor, channels: int) -> Tensor:
    """The weight of a convolution of RGB for another number of channels.

    Args:
        weight: (O, 3, ...).
        channels: Of the new input.

    Returns:
        (O, channels, ...), the mean over RGB for each channel.
    """
    return weight.mean(1, keepdim=True).repeat(1, channels, *[1] * (weight.ndim - 2))


def change_channels(network: nn.Module, channels: int) -> None:
    """Let a network of RGB take another number of channels, in place.

    Args:
        network: Its convolutions that take the picture are changed, with their weights.
        channels: Of the new input.

    Raises:
        ValueError: It has no such convolution.
    """
    found = [module for module in network.modules() if _takes_picture(module)]
    if not found:
        raise ValueError(
            f"input: this network has no convolution of {RGB} channels that takes the picture, so it cannot be changed "
            f"to take {channels}; modality 'rgb-diff' keeps {RGB}"
        )
    for conv in found:
        weight = average_channels(conv.weight.detach(), channels)
        conv.weight = nn.Parameter(weight, requires_grad=conv.weight.requires_grad)
        conv.in_channels = channels
    for module in network.modules():  # transformers' embeddings check what they get
        if getattr(module, "num_channels", None) == RGB and any(child in found for child in module.children()):
            module.num_channels = channels  # type: ignore[assignment]


def _takes_picture(module: nn.Module) -> TypeGuard[nn.Conv2d | nn.Conv3d]:
    """Whether it is a convolution of 3 channels; a pointwise one is of a gate that is that narrow (OSNet's x0.5)."""
    if not isinstance(module, nn.Conv2d | nn.Conv3d):
        return False
    return module.in_channels == RGB and module.groups == 1 and max(module.kernel_size) > 1
