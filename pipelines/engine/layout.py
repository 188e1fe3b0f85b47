"""How the weights of convolutions lie in memory where that decides their speed.

What multiplies half precision, the tensor cores of a GPU and the tiles of a CPU (AMX), takes channels that lie next to
each other: in bf16 an NVIDIA H200 trained `r3d_18` 1.5 times as fast with them last, and a CPU embeds with it in
half the time (docs/benchmarks.md, "Networks" and "Channels last"). Image networks, and `r3d_tiny`, are laid out
so when they are built; in fp32 of other 3D networks on a CPU some gain by it and some lose.
"""

from typing import cast

import torch
from lightning_fabric import Fabric
from torch import nn

from specvid.models.video_model import VideoModel


def lay_out(network: nn.Module, device: str, precision: str) -> None:
    """Put the channels of 3D convolutions last, where this was found to be faster; the numbers stay.

    Args:
        network: changed in place. Networks with grouped 3D convolutions, which was not measured, are left as they are.
        device: type of the device that it is to compute on, such as ``cuda``.
        precision: ``bf16``, ``fp16`` or ``fp32``, or what Fabric calls these.
    """
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv3d)]
    if device in ("cuda", "cpu") and "32" not in precision and all(module.groups == 1 for module in convolutions):
        for module in convolutions:
            module.to(memory_format=torch.channels_last_3d)


def for_inference(fabric: Fabric, model: VideoModel) -> VideoModel:
    """A copy of a network that is not trained any more, as this process computes with it fastest.

    Args:
        fabric: of this process.
        model: left as it is.

    Returns:
        The copy, in eval mode, on the device.
    """
    model = model.for_inference()
    lay_out(model, fabric.device.type, str(fabric.strategy.precision.precision))
    return cast(VideoModel, fabric.to_device(model))
