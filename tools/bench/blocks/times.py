"""How long blocks take over the number of positions N, next to each other in the same run."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from specvid.tools.bench.blocks.variants import CLIPS, QUADRATIC, VARIANTS, check_choices, left_out, make
from specvid.tools.bench.timing import Seconds, interleaved, median, ratio

PATIENCE, PATIENCE_QUADRATIC = 20.0, 4.0  # seconds of one variant at one size, after which it runs no further round


@dataclass(frozen=True)
class BlockTime:
    """One measurement; times are NaN where there is none.

    Attributes:
        variant: of ``VARIANTS``, or ``floor``.
        positions: N.
        channels: C.
        batch: B.
        dtype: of the multiplications.
        device: ``cpu`` or ``cuda``.
        forward_ms: median of a forward pass, milliseconds.
        forward_to_floor: median ratio to the floor within a round.
        train_ms: median of forward and backward, milliseconds.
        train_to_floor: median ratio to the floor within a round.
        rounds: how many were timed, forward and training.
        note: why there is no measurement, else empty.
    """

    variant: str
    positions: int
    channels: int
    batch: int
    dtype: str
    device: str
    forward_ms: float = math.nan
    forward_to_floor: float = math.nan
    train_ms: float = math.nan
    train_to_floor: float = math.nan
    rounds: tuple[int, int] = (0, 0)
    note: str = ""


def bench_blocks(
    *,
    positions: tuple[int, ...] = tuple(CLIPS),
    channels: tuple[int, ...] = (512, 1024),
    batches: tuple[int, ...] = (1, 4),
    variants: tuple[str, ...] = VARIANTS,
    rounds: int = 5,
    patience: float | None = None,
    device: str = "cpu",
    dtype: str = "float32",
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
        dtype: ``float32``, ``bfloat16`` or ``float16`` (by autocast).

    Yields:
        Measurements as they come.

    Raises:
        ValueError: an N or a variant that is not known.
    """
    check_choices(positions, variants)
    for width in channels:
        for batch in batches:
            for n in positions:
                yield from _bench_size(("floor", *variants), n, width, batch, rounds, patience, device, dtype)


def _bench_size(
    variants: Sequence[str],
    positions: int,
    channels: int,
    batch: int,
    rounds: int,
    patience: float | None,
    device: str,
    dtype: str,
) -> Iterator[BlockTime]:
    torch.manual_seed(0)
    x = torch.randn(batch, channels, *CLIPS[positions], device=device)
    why_not = {name: left_out(name, positions, channels, batch) for name in dict.fromkeys(variants)}
    made = {name: None if why else make(name, channels) for name, why in why_not.items()}
    ready = {name: block.to(device) for name, block in made.items() if block is not None}
    wait = torch.cuda.synchronize if device == "cuda" else None

    def times(work: Callable[[nn.Module, Tensor, str], Callable[[], None]]) -> dict[str, Seconds]:
        runs = {name: work(block, x, dtype) for name, block in ready.items()}
        limits = {name: patience or (PATIENCE_QUADRATIC if name in QUADRATIC else PATIENCE) for name in runs}
        return interleaved(runs, rounds=rounds, patience=limits, synchronize=wait)

    forward, train = times(_forward), times(_train)
    for name, why in why_not.items():
        if name not in ready:
            yield BlockTime(name, positions, channels, batch, dtype, device, note=why or "not installed")
            continue
        yield BlockTime(
            name, positions, channels, batch, dtype, device,
            median(forward[name]) * 1e3, ratio(forward, name, "floor"),
            median(train[name]) * 1e3, ratio(train, name, "floor"),
            (len(forward[name]), len(train[name])),
        )  # fmt: skip


def _autocast(x: Tensor, dtype: str) -> torch.autocast:
    return torch.autocast(
        x.device.type, dtype=getattr(torch, dtype) if dtype != "float32" else None, enabled=dtype != "float32"
    )


def _forward(block: nn.Module, x: Tensor, dtype: str) -> Callable[[], None]:
    def run() -> None:
        block.eval()
        with torch.no_grad(), _autocast(x, dtype):
            block(x)

    return run


def _train(block: nn.Module, x: Tensor, dtype: str) -> Callable[[], None]:
    gradient = torch.ones_like(x)
    x = x.detach().requires_grad_()

    def run() -> None:
        block.train()
        with _autocast(x, dtype):
            y = block(x)
        y.backward(gradient.to(y.dtype))
        x.grad = None
        block.zero_grad(set_to_none=True)

    return run
