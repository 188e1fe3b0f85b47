"""Every block, stage and replacement of a convolution at a few sizes: time, memory, parameters and multiply-adds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from specvid.models.about import count_parameters
from specvid.models.blocks import block_options, create_block, list_blocks
from specvid.models.blocks.registry import BLOCKS
from specvid.models.convolutions import create_convolution, list_convolutions
from specvid.models.stages import STAGE_WRAPPERS
from specvid.tools.bench.blocks.times import forward_of, training_of
from specvid.tools.bench.blocks.variants import CLIPS, Floor, check_positions
from specvid.tools.bench.gpu import autocast, check_device, computing_in, gpu_seconds
from specvid.tools.timing import Seconds, interleaved, median, ratio

SIZES = (392, 784, 3136)  # N: res5 of 8 frames, res4 of 4 and of 16
MATRICES = 6 * 2**30  # bytes that N x N matrices of all heads may take
# a factor on N² numbers that a training step holds, of blocks that form N x N matrices
QUADRATIC = {"bot": 12, "nl": 4, "ns": 4, "dnl": 4, "snl_2019": 4, "gsnl": 4, "cheb": 1, "cgnl": 1}
KINDS = ("nonlocal", "channel", "long-range", "stage", "convolution")
MAPS = 3  # residual blocks of the stage that a wrapper is measured for


@dataclass(frozen=True)
class EveryRow:
    """One block at one size; figures are NaN where it was left out.

    Attributes:
        name: of the block, of what wraps a stage of three residual blocks (without these), or of what replaces a
            convolution of 3 x 3 x 3 positions; ``conv3d`` is that convolution.
        kind: ``nonlocal``, ``channel``, ``long-range``, ``stage`` or ``convolution``.
        positions: N.
        parameters: numbers that are learned.
        gmacs: 10^9 multiply-adds of a forward pass.
        mebibytes: what a forward pass in training keeps for its backward pass, without the parameters.
        forward_ms: median of a forward pass in eval mode, milliseconds.
        train_ms: median of forward and backward, milliseconds.
        forward_to_floor: median ratio to SNL's bare 1x1 convolutions, which run in every round beside it.
        train_to_floor: likewise, of forward and backward.
        skipped: why there is no measurement, else empty.
    """

    name: str
    kind: str
    positions: int
    parameters: int
    gmacs: float = math.nan
    mebibytes: float = math.nan
    forward_ms: float = math.nan
    train_ms: float = math.nan
    forward_to_floor: float = math.nan
    train_to_floor: float = math.nan
    skipped: str = ""


def bench_every(
    *,
    positions: Sequence[int] = SIZES,
    channels: int = 256,
    batch: int = 1,
    names: Sequence[str] = (),
    rounds: int = 3,
    patience: float = 5.0,
    device: str = "cpu",
    precision: str = "fp32",
    cpu_time: bool = False,
) -> Iterator[EveryRow]:
    """Measure every block with its default options, beside the floor of ``bench_blocks``.

    Args:
        positions: N, keys of ``CLIPS``.
        channels: C.
        batch: B.
        names: of blocks, stages and replacements; all if empty.
        rounds: timed rounds.
        patience: seconds of one block at one size after which it runs no further round.
        device: ``cpu`` or ``cuda``.
        precision: of ``specvid.tools.bench.gpu.PRECISIONS``.
        cpu_time: time on the CPU, of all threads together, instead of the clock's.

    Yields:
        A row for each block at each size.

    Raises:
        ValueError: an N or a name that is not known, or a device or precision that is not here.
    """
    check_positions(positions)
    check_device(device, precision)
    wanted = list(names) or [*list_blocks(), *STAGE_WRAPPERS, *list_convolutions(), "conv3d"]
    kinds = {name: kind_of(name) for name in wanted}
    wanted.sort(key=lambda name: (KINDS.index(kinds[name]), name))
    with computing_in(precision):
        for name in wanted:
            for n in positions:
                torch.manual_seed(0)
                module = _make(name, channels)
                row = EveryRow(name, kinds[name], n, count_parameters(module))
                need = 4 * batch * n * n * QUADRATIC.get(name, 0)
                if need > MATRICES:
                    yield replace(row, skipped=f"needs {need / 2**30:.0f} GiB for its N x N matrices")
                    continue
                x = torch.randn(batch, channels, *CLIPS[n], device=device)
                yield _measure(row, module.to(device), x, rounds, patience, precision, cpu_time)


def kind_of(name: str) -> str:
    """The kind of a block, or ``stage`` or ``convolution``.

    Args:
        name: of a block, a stage or a replacement.

    Raises:
        ValueError: it is none of them.
    """
    if name in STAGE_WRAPPERS:
        return "stage"
    if name in list_convolutions() or name == "conv3d":
        return "convolution"
    return BLOCKS.find(name).kind


class _Stage(nn.Module):
    """What wraps a stage, given the same map for each of its blocks."""

    def __init__(self, wrapper: nn.Module) -> None:
        super().__init__()
        self.wrapper = wrapper

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.wrapper(torch.stack([x] * MAPS, dim=1))
        return y


def _make(name: str, channels: int) -> nn.Module:
    if name in STAGE_WRAPPERS:
        return _Stage(STAGE_WRAPPERS[name](channels, blocks=MAPS))
    if name == "conv3d":
        return nn.Conv3d(channels, channels, 3, padding=1, bias=False)
    if name in list_convolutions():
        return create_convolution(name, channels)
    given: dict[str, Any] = {"function": torch.exp} if block_options(name).get("function", "") is None else {}
    return create_block(name, channels, **given)


def _measure(
    row: EveryRow, module: nn.Module, x: Tensor, rounds: int, patience: float, precision: str, cpu_time: bool
) -> EveryRow:
    """Time, memory and multiply-adds at one size."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(x)
    mebibytes = _kept(module.train(), x, precision)
    clock = gpu_seconds() if x.device.type == "cuda" else None
    floor = Floor(x.shape[1]).to(x.device)
    seconds: list[dict[str, Seconds]] = []
    for prepare in (forward_of, training_of):  # one after the other: modes differ
        runs = {"this": prepare(module, x, precision), "floor": prepare(floor, x, precision)}
        seconds.append(interleaved(runs, rounds=rounds, patience={"this": patience}, clock=clock, cpu=cpu_time))
    forward, train = seconds
    return replace(
        row,
        gmacs=counter.get_total_flops() / 2e9,
        mebibytes=mebibytes,
        forward_ms=median(forward["this"]) * 1e3,
        train_ms=median(train["this"]) * 1e3,
        forward_to_floor=ratio(forward, "this", "floor"),
        train_to_floor=ratio(train, "this", "floor"),
    )


def _kept(module: nn.Module, x: Tensor, precision: str) -> float:
    """MiB that a forward pass keeps for its backward pass: each storage once, without those of parameters."""
    own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    x = x.detach().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), autocast(x.device.type, precision):
        y = module(x)
    del y
    return sum(kept.values()) / 2**20


def every_table(rows: Sequence[EveryRow]) -> list[list[str]]:
    """One table: a line for each block, and for each size its figures, in brackets times the floor.

    Args:
        rows: the measurements.

    Returns:
        Rows of text, the heading first.
    """
    sizes = list(dict.fromkeys(row.positions for row in rows))
    heading = ["block", "kind", "parameters"]
    heading += [f"N = {n:,}: {what}" for n in sizes for what in ("ms", "ms train", "MiB", "GMACs")]
    table = [heading]
    for name in dict.fromkeys(row.name for row in rows):
        here = {row.positions: row for row in rows if row.name == name}
        first = next(iter(here.values()))
        line = [name, first.kind, f"{first.parameters:,}"]
        for n in sizes:
            row = here[n]
            if row.skipped:
                line += ["-"] * 4
                continue
            times = ((row.forward_ms, row.forward_to_floor), (row.train_ms, row.train_to_floor))
            line += [f"{_short(ms)} ({_short(to_floor, 2)})" for ms, to_floor in times]
            line += [_short(row.mebibytes), _short(row.gmacs)]
        table.append(line)
    return table


def _short(figure: float, digits: int = 3) -> str:
    """So many digits, and no exponent where the number is large."""
    return f"{figure:,.0f}" if figure >= 10 ** (digits - 1) else f"{figure:.{digits}g}"
