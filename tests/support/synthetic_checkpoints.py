"""Synthetic checkpoints as other projects write them.

Their exact names and shapes are written down here, independently of the models that load them.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
State = dict[str, Tensor]


def norm(name: str, channels: int) -> State:
    return {
        f"{name}.weight": torch.rand(channels) + 0.5,
        f"{name}.bias": 0.1 * torch.randn(channels),
        f"{name}.running_mean": 0.1 * torch.randn(channels),
        f"{name}.running_var": torch.rand(channels) + 0.5,
        f"{name}.num_batches_tracked": torch.tensor(7),
    }


def conv(name: str, out: int, channels: int, *kernel: int) -> State:
    fan_in = channels * torch.Size(kernel).numel()
    return {f"{name}.weight": torch.randn(out, channels, *kernel) / fan_in**0.5}


def linear(name: str, out: int, channels: int, *, bias: bool = True) -> State:
    state = {f"{name}.weight": 0.05 * torch.randn(out, channels)}
    return state | ({f"{name}.bias": torch.randn(out)} if bias else {})


def blocks_of(depth: int) -> Iterator[tuple[int, int, int, int, int]]:
    """(stage, block, channels in, inner, channels out) of every residual block of a ResNet."""
    channels = 64
    for stage, count in enumerate(BLOCKS[depth]):
        inner = 64 * 2**stage
        for block in range(count):
            out = inner * (4 if depth >= 50 else 1)
            yield stage, block, channels, inner, out
            channels = out


def resnet(depth: int, *, dims: int, stem: int = 7, shortcut: str = "B") -> State:
    """A ResNet's body as torchvision (``dims=2``) and kenshohara (``dims=3``) name it."""
    one, three = (1,) * dims, (3,) * dims
    state = conv("conv1", 64, 3, *((stem,) * (dims - 2)), 7, 7) | norm("bn1", 64)
    for stage, block, channels, inner, out in blocks_of(depth):
        name = f"layer{stage + 1}.{block}"
        kernels = (one, three, one) if depth >= 50 else (three, three)
        widths = (channels, *[inner] * (len(kernels) - 1), out)
        for i, kernel in enumerate(kernels):
            state |= conv(f"{name}.conv{i + 1}", widths[i + 1], widths[i], *kernel)
            state |= norm(f"{name}.bn{i + 1}", widths[i + 1])
        if shortcut == "B" and (channels != out or (stage and not block)):
            state |= conv(f"{name}.downsample.0", out, channels, *one) | norm(f"{name}.downsample.1", out)
    return state


def mmaction_resnet(depth: int, *, dims: int = 2, tsm: bool = False, i3d: bool = False) -> State:
    """The same as mmaction2 names it, which builds it of ConvModules; with TSM, a shift is wrapped around conv1."""
    state: State = conv("conv1.conv", 64, 3, *((5,) * (dims - 2)), 7, 7) | norm("conv1.bn", 64)
    temporal = ((1, 1, 1), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 1, 0))
    one, three = (1,) * dims, (*((1,) * (dims - 2)), 3, 3)
    for stage, block, channels, inner, out in blocks_of(depth):
        name = f"layer{stage + 1}.{block}"
        first = (3, 1, 1) if i3d and temporal[stage][block] else one
        kernels = (first, three, one) if depth >= 50 else (three, three)
        widths = (channels, *[inner] * (len(kernels) - 1), out)
        for i, kernel in enumerate(kernels):
            layer = f"{name}.conv{i + 1}"
            state |= conv(f"{layer}.conv.net" if tsm and i == 0 else f"{layer}.conv", widths[i + 1], widths[i], *kernel)
            state |= norm(f"{layer}.bn", widths[i + 1])
        if channels != out or (stage and not block):
            state |= conv(f"{name}.downsample.conv", out, channels, *one) | norm(f"{name}.downsample.bn", out)
    return state


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def torchvision_names(state: State) -> State:
    """mmaction2's names, spelled out one by one, as torchvision has them."""
    plain = {}
    for name, tensor in state.items():
        parts = name.split(".")
        parts = [part for part in parts if part != "net"]
        at = next(i for i, part in enumerate(parts) if part in ("conv", "bn"))
        layer = parts[at - 1]
        if layer == "downsample":
            parts[at] = "0" if parts[at] == "conv" else "1"
        else:
            parts[at - 1 : at + 1] = [layer if parts[at] == "conv" else layer.replace("conv", "bn")]
        plain[".".join(parts)] = tensor
    return plain
