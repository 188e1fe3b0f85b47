"""Video networks of other projects that are not installed, from their tensors alone, layer by layer."""

from collections.abc import Mapping

from synthetic_checkpoints import State, blocks_of
from torch import Tensor
from torch.nn import functional as F

Window = tuple[int, int, int]


def norm(state: State, name: str, x: Tensor) -> Tensor:
    mean, var, weight, bias = (state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias)


def resnet3d(state: State, x: Tensor, depth: int) -> Tensor:
    """Hara et al.'s network: logits (B, classes)."""

    def layer(name: str, bn: str, x: Tensor, stride: int | tuple[int, int, int] = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        return norm(state, bn, F.conv3d(x, weight, stride=stride, padding=weight.shape[-1] // 2))

    x = F.max_pool3d(F.relu(layer("conv1", "bn1", x, (1, 2, 2))), 3, stride=2, padding=1)
    for stage, block, channels, _, out in blocks_of(depth):
        name, stride = f"layer{stage + 1}.{block}", 2 if stage and not block else 1
        steps = (1, stride, 1) if depth >= 50 else (stride, 1)
        y = x
        for i, step in enumerate(steps):
            y = layer(f"{name}.conv{i + 1}", f"{name}.bn{i + 1}", y, step)
            y = F.relu(y) if i < len(steps) - 1 else y
        if f"{name}.downsample.0.weight" in state:
            x = layer(f"{name}.downsample.0", f"{name}.downsample.1", x, stride)
        elif channels != out or stride != 1:
            short = F.avg_pool3d(x, 1, stride=stride)
            x = F.pad(short, (0, 0, 0, 0, 0, 0, 0, out - channels))
        x = F.relu(x + y)
    return x.mean((2, 3, 4)) @ state["fc.weight"].T + state["fc.bias"]


# stride of conv1 in time; kernel, stride and padding of pool1, as in the code of the repositories; pool2 is one for all
I3D: Mapping[str, tuple[int, Window, Window, Window]] = {
    "slowfast": (1, (1, 3, 3), (1, 2, 2), (0, 1, 1)),
    "video-nonlocal-net": (1, (1, 3, 3), (1, 2, 2), (0, 0, 0)),
    "pytorch-resnet3d": (2, (2, 3, 3), (2, 2, 2), (0, 0, 0)),
}


def i3d_r50(state: State, x: Tensor, project: str) -> Tensor:
    """The I3D-ResNet-50 of a project, from tensors under torchvision's names: logits (B, classes)."""
    stride, *pool = I3D[project]

    def layer(name: str, bn: str, x: Tensor, time: int = 1, space: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        padding = tuple(size // 2 for size in weight.shape[2:])
        return norm(state, bn, F.conv3d(x, weight, stride=(time, space, space), padding=padding))

    x = F.max_pool3d(F.relu(layer("conv1", "bn1", x, stride, 2)), *pool)
    for stage, block, _, _, _ in blocks_of(50):
        if stage == 1 and block == 0:
            x = F.max_pool3d(x, (2, 1, 1))
        name, step = f"layer{stage + 1}.{block}", 2 if stage and not block else 1
        y = F.relu(layer(f"{name}.conv1", f"{name}.bn1", x))
        y = F.relu(layer(f"{name}.conv2", f"{name}.bn2", y, 1, step))
        y = layer(f"{name}.conv3", f"{name}.bn3", y)
        if f"{name}.downsample.0.weight" in state:
            x = layer(f"{name}.downsample.0", f"{name}.downsample.1", x, 1, step)
        x = F.relu(x + y)
    return x.mean((2, 3, 4)) @ state["fc.weight"].T + state["fc.bias"]
