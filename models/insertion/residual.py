"""Where the residual branches of a convolutional network begin: the place of the temporal shift module.

Blocks are known by what they have, not by their class, because torchvision, timm, mmaction2 and we have classes of our
own for the same few designs.
"""

from __future__ import annotations

from torch import nn


def residual_branches(network: nn.Module) -> list[str]:
    """Paths of the first layer of each residual branch, in order; blocks without a shortcut have none."""
    found = ((path, _first_layer(module)) for path, module in network.named_modules())
    return [f"{path}.{layer}" if path else layer for path, layer in found if layer]


def _first_layer(block: nn.Module) -> str:
    """The name of the first layer within ``block``; "" where it is no residual block."""
    children = dict(block.named_children())
    if "conv1" in children and hasattr(block, "downsample") and "conv2" in children:  # ResNets, everybody's
        return "conv1"
    if getattr(block, "use_res_connect", False):  # torchvision: MobileNet v2 and v3, EfficientNet
        return next((f"{name}.0" for name in ("conv", "block") if name in children), "")
    if getattr(block, "has_skip", False) and "conv_pw" in children and "conv_dw" in children:  # timm: the same
        return "conv_pw" if "conv_pwl" in children else "conv_dw"
    if isinstance(getattr(children.get("f"), "a", None), nn.Module):  # torchvision: RegNet
        return "f.a"
    return ""
