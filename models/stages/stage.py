"""A stage of residual blocks with what mixes their feature maps, and how the blocks are kept from their last ReLU."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn


class _Turns(threading.local):
    """How often each `WithoutLast` has run in the pass that goes on, in each thread."""

    def __init__(self) -> None:
        self.of: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()


_TURNS = _Turns()


class WithoutLast(nn.Module):
    """A ReLU that a block runs several times, and that lets its last run in each pass through.

    Args:
        relu: The ReLU.
        runs: How often the block runs it.
    """

    def __init__(self, relu: nn.Module, runs: int) -> None:
        super().__init__()
        self.relu, self.runs, self.turn = relu, runs, 0

    def forward(self, x: Tensor) -> Tensor:
        if self.runs == 1:
            return x
        if torch.compiler.is_compiling():  # traced in one thread
            self.turn = (self.turn + 1) % self.runs
            turn = self.turn
        else:
            turn = (_TURNS.of.get(self, 0) + 1) % self.runs
            _TURNS.of[self] = turn
        return self.relu(x) if turn else x


@dataclass(frozen=True)
class ResidualBlock:
    """A block that ends in a ReLU.

    Attributes:
        name: Of the child of the stage.
        relu: Path of the ReLU in it.
        runs: How often it runs in a pass.
        channels: C of what the block gives.
    """

    name: str
    relu: str
    runs: int
    channels: int


class DepthStage(nn.Sequential):
    """A stage whose output is a mixture of what its blocks give; their names, and those of all else in it, stay.

    Args:
        stage: The stage; its children become those of this module.
        blocks: Its residual blocks, in order.
        mixture: Gives (B, C, *sizes) of the maps (B, n, C, *sizes) before the last ReLU of each block.
        name: Of the mixture among the children.
    """

    def __init__(self, stage: nn.Sequential, blocks: list[ResidualBlock], mixture: nn.Module, *, name: str) -> None:
        super().__init__()
        self.blocks, self.name = blocks, name
        for child, module in stage.named_children():
            self.add_module(child, module)
        for block in blocks:
            holder, _, relu = f"{block.name}.{block.relu}".rpartition(".")
            parent = self.get_submodule(holder)
            parent._modules[relu] = WithoutLast(parent.get_submodule(relu), block.runs)
        self.add_module(name, mixture)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, *sizes) -> (B, C', *sizes')."""
        x, names = input, {block.name for block in self.blocks}
        maps: list[Tensor] = []
        for name, child in self.named_children():
            if name == self.name:
                continue
            y: Tensor = child(x)
            if name not in names:
                x = y
                continue
            maps.append(y)
            last = len(maps) == len(names)
            x = getattr(self, self.name)(torch.stack(maps, dim=1)) if last else y.relu()
        return x


def find_blocks(network: nn.Module, stage: str, run: Callable[[], object]) -> list[ResidualBlock]:
    """The residual blocks of a stage, seen in a pass of the network.

    Args:
        network: The network.
        stage: Path of the stage, an ``nn.Sequential``.
        run: Runs the network once.

    Returns:
        The blocks, in order.

    Raises:
        ValueError: A child of the stage does not end in a ReLU of its own, or they give features of several shapes.
    """
    container = network.get_submodule(stage)
    counts: dict[str, Counter[str]] = {name: Counter() for name, _ in container.named_children()}
    latest: dict[str, tuple[str, object]] = {}
    shapes: dict[str, torch.Size | None] = {}
    ends: dict[str, bool] = {}
    hooks = []
    for name, child in container.named_children():
        for path, module in child.named_modules():
            if isinstance(module, nn.ReLU):

                def saw(_: nn.Module, args: object, output: object, name: str = name, path: str = path) -> None:
                    counts[name][path] += 1
                    latest[name] = (path, output)

                hooks.append(module.register_forward_hook(saw))

        def ended(_: nn.Module, args: object, output: object, name: str = name) -> None:
            ends[name] = name in latest and latest[name][1] is output
            shapes[name] = output.shape if isinstance(output, Tensor) else None

        hooks.append(child.register_forward_hook(ended))
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    wrong = [name for name in counts if not ends.get(name)]
    if wrong or len(set(shapes.values())) != 1:
        why = f"{wrong[0]!r} does not end in a ReLU" if wrong else "its blocks give features of several shapes"
        raise ValueError(f"{stage!r} is no stage of residual blocks: {why}")
    return [
        ResidualBlock(name, latest[name][0], counts[name][latest[name][0]], _channels(shapes[name])) for name in counts
    ]


def _channels(shape: torch.Size | None) -> int:
    assert shape is not None
    return shape[1]


def unwrap_stages(network: nn.Module) -> list[str]:
    """Make plain stages of wrapped ones again, in place.

    Args:
        network: Any network.

    Returns:
        Paths of the stages that were wrapped.
    """
    found = [path for path, module in network.named_modules() if isinstance(module, DepthStage)]
    for path in found:
        wrapped = network.get_submodule(path)
        assert isinstance(wrapped, DepthStage)
        plain = nn.Sequential().train(wrapped.training)
        for name, child in wrapped.named_children():
            if name != wrapped.name:
                plain.add_module(name, child)
        for module in plain.modules():
            for name, child in list(module.named_children()):
                if isinstance(child, WithoutLast):
                    module._modules[name] = child.relu
        parent, _, child_name = path.rpartition(".")
        network.get_submodule(parent)._modules[child_name] = plain
    return found
