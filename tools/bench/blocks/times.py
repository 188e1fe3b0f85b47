"""How long blocks take over the number of positions N, next to each other in the same run."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from specvid.tools.bench.blocks.variants import CLIPS, FORWARD_ONLY, QUADRATIC, VARIANTS, check_choices, left_out, make
from specvid.tools.bench.gpu import HALF, autocast, check_device, computing_in, gpu_seconds, graphed
from specvid.tools.timing import Seconds, interleaved, median, ratio

PATIENCE, PATIENCE_QUADRATIC = 20.0, 4.0  # seconds of one variant at one size, after which it runs no further round


@dataclass(frozen=True)
class BlockTime:
    """One measurement; times are NaN where there is none, as those of training are of ``FORWARD_ONLY``.

    Attributes:
        variant: of ``VARIANTS``, or ``floor``.
        positions: N.
        channels: C.
        batch: B.
        precision: of the multiplications.
        device: ``cpu`` or ``cuda``.
        graphs: CUDA graphs were timed.
        forward_ms: median of a forward pass, milliseconds.
        forward_to_floor: median ratio to the floor within a round.
        train_ms: median of forward and backward, milliseconds.
        train_to_floor: median ratio to the floor within a round.
        rounds: how many were timed, forward and training.
        skipped: why there is no measurement, else empty.
    """

    variant: str
    positions: int
    channels: int
    batch: int
    precision: str
    device: str
    graphs: bool = False
    forward_ms: float = math.nan
    forward_to_floor: float = math.nan
    train_ms: float = math.nan
    train_to_floor: float = math.nan
    rounds: tuple[int, int] = (0, 0)
    skipped: str = ""


def bench_blocks(
    *,
    positions: tuple[int, ...] = tuple(CLIPS),
    channels: tuple[int, ...] = (512, 1024),
    batches: tuple[int, ...] = (1, 4),
    variants: tuple[str, ...] = VARIANTS,
    rounds: int = 5,
    patience: float | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    graphs: bool = False,
    channels_last: bool = False,
    cpu: bool = False,
) -> Iterator[BlockTime]:
    """Measure variants at every size; the floor runs in every round beside the others.

    Args:
        positions: N, keys of ``CLIPS``.
        channels: C.
        batches: B.
        variants: of ``VARIANTS``.
        rounds: timed rounds.
        patience: seconds of one variant at one size after which it runs no further round; by default ``PATIENCE``, or
            ``PATIENCE_QUADRATIC`` for what is quadratic.
        device: ``cpu`` or ``cuda``.
        precision: of ``specvid.tools.bench.gpu.PRECISIONS``.
        graphs: on a GPU, time CUDA graphs: without what it takes to start operations one by one.
        channels_last: features in this memory format.
        cpu: CPU time of this process instead of that of the clock.

    Yields:
        Measurements as they come.

    Raises:
        ValueError: an N or a variant that is not known, or a device or precision that is not here.
    """
    check_choices(positions, variants)
    check_device(device, precision, graphs=graphs)
    of_all = BlockTime("", 0, 0, 0, precision, device, graphs)
    with computing_in(precision):
        for width in channels:
            for batch in batches:
                for n in positions:
                    row = replace(of_all, positions=n, channels=width, batch=batch)
                    yield from _bench_size(("floor", *variants), row, rounds, patience, channels_last, cpu)


def _bench_size(
    variants: Sequence[str], size: BlockTime, rounds: int, patience: float | None, channels_last: bool, cpu: bool
) -> Iterator[BlockTime]:
    torch.manual_seed(0)
    x = torch.randn(size.batch, size.channels, *CLIPS[size.positions], device=size.device)
    if size.device == "cuda" and size.precision in HALF:  # as a network's layers hand it over
        x = x.to(HALF[size.precision])
    if channels_last:
        x = x.to(memory_format=torch.channels_last_3d)
    numbers = size.positions, size.channels, size.batch, size.device
    why_not = {name: left_out(name, *numbers) for name in dict.fromkeys(variants)}
    made = {name: None if why else make(name, size.channels) for name, why in why_not.items()}
    ready = {name: block.to(size.device) for name, block in made.items() if block is not None}
    clock = gpu_seconds() if size.device == "cuda" else None

    def times(work: Callable[[nn.Module, Tensor, str], Callable[[], None]], names: Iterable[str]) -> dict[str, Seconds]:
        runs = {name: work(ready[name], x, size.precision) for name in names}
        if size.graphs:
            runs = {name: graphed(run) for name, run in runs.items()}
        limits = {name: patience or (PATIENCE_QUADRATIC if name in QUADRATIC else PATIENCE) for name in runs}
        warm_up = 1 if clock is None else 3
        return interleaved(runs, rounds=rounds, patience=limits, clock=clock, cpu=cpu, warm_up=warm_up)

    forward = times(forward_of, ready)
    train = times(training_of, [name for name in ready if name not in FORWARD_ONLY])
    for name, why in why_not.items():
        if name not in ready:
            yield replace(size, variant=name, skipped=why or "not installed")
            continue
        row = replace(
            size,
            variant=name,
            forward_ms=median(forward[name]) * 1e3,
            forward_to_floor=ratio(forward, name, "floor"),
            rounds=(len(forward[name]), len(train.get(name, ()))),
        )
        if name in train:
            train_ms, train_to_floor = median(train[name]) * 1e3, ratio(train, name, "floor")
            row = replace(row, train_ms=train_ms, train_to_floor=train_to_floor)
        yield row


def forward_of(block: nn.Module, x: Tensor, precision: str) -> Callable[[], None]:
    """What is timed as a forward pass.

    Args:
        block: put into eval mode.
        x: features.
        precision: of ``specvid.tools.bench.gpu.PRECISIONS``.

    Returns:
        A function that runs it once.
    """
    block.eval()

    def run() -> None:
        with torch.no_grad(), autocast(x.device.type, precision):
            block(x)

    return run


def training_of(block: nn.Module, x: Tensor, precision: str) -> Callable[[], None]:
    """What is timed as a forward and a backward pass.

    Args:
        block: put into training mode.
        x: features.
        precision: of ``specvid.tools.bench.gpu.PRECISIONS``.

    Returns:
        A function that runs both once.
    """
    block.train()
    gradient = torch.ones_like(x)
    x = x.detach().requires_grad_()

    def run() -> None:
        with autocast(x.device.type, precision):
            y = block(x)
        y.backward(gradient.to(y.dtype))
        x.grad = None
        block.zero_grad(set_to_none=True)

    return run
