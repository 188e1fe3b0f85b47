"""How the weights of convolutions lie in memory where that decides their speed.

Tensor cores multiply channels that lie next to each other: an NVIDIA H200 trained `r3d_18` 1.5 times and embedded with
it 1.2 times as fast in bf16 with them last (docs/benchmarks.md, "Networks"). Image networks, and `r3d_tiny`, are laid
out so when they are built; of other 3D networks on a CPU some gain by it and some lose (there, "Channels last").
"""

import torch
from torch import nn


def lay_out(network: nn.Module, device: str, precision: str) -> None:
    """Put the channels of 3D convolutions last, where this was found to be faster; the numbers stay.

    Args:
        network: changed in place. Networks with grouped 3D convolutions, which was not measured, are left as they are.
        device: type of the device that it is to compute on, such as ``cuda``.
        precision: ``bf16``, ``fp16`` or ``fp32``.
    """
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv3d)]
    if device == "cuda" and precision != "fp32" and all(module.groups == 1 for module in convolutions):
        for module in convolutions:
            module.to(memory_format=torch.channels_last_3d)
