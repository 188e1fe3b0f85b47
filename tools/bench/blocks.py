"""How fast the blocks are over the number of positions N, next to each other in the same run (`bench_variants`)."""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from specvid.models.blocks import create_block
from specvid.models.blocks.affinities.symmetric import SymmetricAffinity
from specvid.tools.bench.timing import Seconds, interleaved, median, ratio
from specvid.tools.bench.variants import CLIPS, QUADRATIC, VARIANTS, check_choices, left_out, make

PATIENCE, PATIENCE_QUADRATIC = 20.0, 4.0  # seconds of one variant at one size, after which it runs no further round


@dataclass(frozen=True)
class Row:
    """One measurement: milliseconds are medians; ``to_floor`` is the median ratio to the floor within a round;
    ``rounds``: how many were timed, forward and training. ``note`` says why there is none.
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
) -> Iterator[Row]:
    """Measures every size, yielding rows as they come; the floor runs in every round beside the others.

    Args:
        positions: N, keys of :data:`CLIPS`.
        channels: C.
        batches: B.
        variants: of :data:`VARIANTS`.
        rounds: timed rounds.
        patience: seconds of one variant at one size after which it runs no further round; by default :data:`PATIENCE`,
            or less for what is quadratic.
        device: ``cpu`` or ``cuda``.
        dtype: ``float32``, ``bfloat16`` or ``float16`` (by autocast).

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
) -> Iterator[Row]:
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
            yield Row(name, positions, channels, batch, dtype, device, note=why or "not installed")
            continue
        yield Row(
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


def slope(rows: Sequence[Row], variant: str, channels: int, batch: int, *, least: int = 784) -> float:
    """The log-log slope of training time over N from ``least`` up: 1 is linear, 2 quadratic; NaN below two points."""
    points = [(math.log(r.positions), math.log(r.train_ms)) for r in rows
              if (r.variant, r.channels, r.batch) == (variant, channels, batch)
              and r.positions >= least and not r.note]  # fmt: skip
    if len(points) < 2:
        return math.nan
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def choice_of_auto(rows: Sequence[Row]) -> list[tuple[Row, str, float, float]]:
    """For each size: the row of ``snl-auto``, the form that it takes, and that form's time over the better one's of
    ``snl-linear`` and ``snl-dense``, forward and training. (To time ``auto`` itself would add noise, not knowledge.)
    """
    times = {(r.variant, r.positions, r.channels, r.batch): r for r in rows if not r.note}
    found = []
    for (variant, n, channels, batch), auto in times.items():
        forms = {form: times.get((f"snl-{form}", n, channels, batch)) for form in ("linear", "dense")}
        measured = {form: row for form, row in forms.items() if row is not None}
        if variant != "snl-auto" or len(measured) < 2:
            continue
        affinity = cast(SymmetricAffinity, create_block("snl", channels).affinity)
        picked = "dense" if affinity.dense_is_cheaper(n) else "linear"
        forward = measured[picked].forward_ms / min(row.forward_ms for row in measured.values())
        train = measured[picked].train_ms / min(row.train_ms for row in measured.values())
        found.append((auto, picked, forward, train))
    return found
