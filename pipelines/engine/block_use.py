"""Whether a network uses its blocks: where their gates stand, and how much they add to what flows through them.

A block starts as the identity, and a training may leave it there: then two trainings with and without it differ by
chance alone. So every training reports at its end, block by block, where the gate stands, and the share: how large what
the block adds is beside what it is added to, RMS(block(x) - x) / RMS(x), measured while the test part is scored. Below
`UNUSED` the block counts as never used; above `OVERWHELMING` it leaves little of what it is added to.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

import torch
from torch import nn

from specvid.models.blocks.registry import block_options
from specvid.models.blocks.unit import Unit
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.pipelines.engine.log import log
from specvid.text import percent

UNUSED = 0.01
"""Least share for a block to count as used."""

OVERWHELMING = 5.0
"""Share above which little is left of what came in: the gate ran away, or started too high for these features."""

MEASURED = 8
"""Forward passes in which the share is measured."""


@dataclass(frozen=True)
class BlockUse:
    """One inserted block after a training.

    Attributes:
        place: path of the inserted block in the network.
        block: its name.
        parameters: how many it has.
        share: RMS(block(x) - x) / RMS(x) over the first `MEASURED` batches of the test part; None if it was not run.
        gate_start: where its gates started; None of a block without gates (channel blocks).
        gate_mean: mean over its gates.
        gate_max: largest magnitude of a gate.
        gate_change: largest distance of a gate from its start.
    """

    place: str
    block: str
    parameters: int
    share: float | None
    gate_start: float | None = None
    gate_mean: float | None = None
    gate_max: float | None = None
    gate_change: float | None = None

    @property
    def used(self) -> bool:
        """Whether it adds more than `UNUSED` to the features; True where that was not measured."""
        return self.share is None or self.share >= UNUSED

    @property
    def overwhelms(self) -> bool:
        """Whether it adds more than `OVERWHELMING`; False where that was not measured."""
        return self.share is not None and self.share > OVERWHELMING

    def as_dict(self) -> dict[str, Any]:
        """As JSON, for results.json."""
        return {**asdict(self), "used": self.used}

    def __str__(self) -> str:
        text = f"block {self.place}: adds {percent(self.share)} % to the features" if self.share is not None else ""
        text = text or f"block {self.place}: not run in testing"
        if self.gate_mean is None:
            return text
        return (
            f"{text}; gate {self.gate_mean:+.4f}, largest {self.gate_max:.4f}, "
            f"moved by {self.gate_change:.4f} from {self.gate_start:g}"
        )


def strengths(module: nn.Module) -> Iterator[nn.Parameter]:
    """What multiplies the branches of nonlocal blocks, learned: the gates, or the weights of norms in their place.

    Args:
        module: a block, or anything that has some.

    Yields:
        A parameter of each unit.
    """
    for unit in module.modules():
        if isinstance(unit, Unit):
            yield unit.strength


@torch.no_grad()
def mean_gates(model: nn.Module) -> dict[str, float]:
    """Where the gates of the inserted blocks stand.

    Args:
        model: the network.

    Returns:
        The mean over the gates of each block that has some, by its place.
    """
    means = {}
    for path, module in model.named_modules():
        gates = [gate.float().flatten() for gate in strengths(module)] if isinstance(module, InsertedBlock) else []
        if gates:
            means[path.replace("_orig_mod.", "")] = torch.cat(gates).mean().item()
    return means


class BlockWatch:
    """Measures what the blocks of a network add while it runs.

    Args:
        model: the network. Parts, which have no parameters, are not watched.
    """

    def __init__(self, model: nn.Module) -> None:
        self._blocks = {
            path: module
            for path, module in model.named_modules()
            if isinstance(module, InsertedBlock) and any(True for _ in module.parameters())
        }
        self._squares: dict[InsertedBlock, list[tuple[float, float]]] = {block: [] for block in self._blocks.values()}
        self._hooks: list[Any] = []

    def __enter__(self) -> "BlockWatch":
        self._hooks = [block.register_forward_hook(self._measure) for block in self._blocks.values()]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()

    def report(self) -> list[BlockUse]:
        """What was measured, block by block, in the order of the network."""
        return [self._use(path, block) for path, block in self._blocks.items()]

    def _measure(self, block: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        seen = self._squares[block]  # type: ignore[index]
        x, y = args[0], output[0] if isinstance(output, tuple) else output
        if len(seen) < MEASURED and x.shape == y.shape:
            x, y = x.detach().float(), y.detach().float()
            seen.append(((y - x).square().sum().item(), x.square().sum().item()))

    @torch.no_grad()
    def _use(self, path: str, block: InsertedBlock) -> BlockUse:
        seen = self._squares[block]
        added, features = (sum(pair[i] for pair in seen) for i in (0, 1))
        share = (added / features) ** 0.5 if features else None
        config = block.block.config
        size = sum(parameter.numel() for parameter in block.parameters())
        gates = [strength.detach().float().flatten() for strength in strengths(block)]
        if not gates:
            return BlockUse(path, config.name, size, share)
        start, gate = float((block_options(config.name) | config.options)["gate"]), torch.cat(gates)
        far = (gate - start).abs().max().item()
        return BlockUse(path, config.name, size, share, start, gate.mean().item(), gate.abs().max().item(), far)


def announce_use(blocks: list[BlockUse]) -> None:
    """Log a line for each block, and a warning for those that were never used, or leave little of the features.

    Args:
        blocks: of the trained network.
    """
    for block in blocks:
        log.info(str(block))
        if not block.used:
            log.warning(
                f"block {block.place} was never used: it adds {percent(block.share or 0)} % to the features "
                f"(less than {100 * UNUSED:g} %), so this training says nothing about it. Raise --block-lr or "
                f"--gate-lr, train longer, or start the gate elsewhere: {block.block}(gate=0.02)@..."
            )
        if block.overwhelms:
            fix = "--block-lr" if block.gate_start is None else "--gate-lr or --block-lr, or start the gate nearer to 0"
            log.warning(
                f"block {block.place} adds {percent(block.share or 0)} % to the features (more than "
                f"{100 * OVERWHELMING:g} %), which leaves little of them. Lower {fix}."
            )
