"""How fast the blocks are, and how much memory they take, over the number of positions N.

Next to each other in the same run: the exact linear SNL, its dense form, ``auto``, SNL as published (N x N, line by
line as in 2108.02451's code), the softmax block through attention kernels and as a matrix, mmcv's NonLocal3d where it
is installed, and the floor: the 1x1 convolutions that SNL has anyway (theta, phi, g, W_0, W_1) with nothing between
them.
"""

import math
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from specvid.models.blocks import create_block
from specvid.models.blocks.pointwise import Pointwise
from specvid.tools.timing import interleaved, ratio

# Positions as (T, H, W): those of res4 and res3 for 4 to 16 frames, and beyond.
CLIPS = {
    98: (2, 7, 7),
    392: (8, 7, 7),
    784: (4, 14, 14),
    3136: (16, 14, 14),
    6272: (8, 28, 28),
    12544: (16, 28, 28),
    50176: (16, 56, 56),
}
VARIANTS = ("floor", "snl-auto", "snl-linear", "snl-dense", "snl-published", "nl-attention", "nl-dense", "nl-mmcv")
QUADRATIC = ("snl-dense", "snl-published", "nl-dense", "nl-mmcv")
QUADRATIC_LIMIT = 6 * 2**30  # bytes that N x N matrices may take; beyond it a variant is left out, by name


@dataclass(frozen=True)
class Row:
    """One measurement: milliseconds are medians; ``to_floor`` is the median ratio to the floor within a round."""

    variant: str
    positions: int
    channels: int
    batch: int
    dtype: str
    device: str
    forward_ms: float
    forward_to_floor: float
    train_ms: float
    train_to_floor: float


class Floor(nn.Module):
    """The five 1x1 convolutions of an SNL unit and no more."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.inward = nn.ModuleList(Pointwise(channels, inner) for _ in range(3))
        self.outward = nn.ModuleList(Pointwise(inner, channels) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> the same shape; theta and phi end in the sum so that they get their gradients."""
        theta, phi, g = (conv(x.flatten(2)) for conv in self.inward)
        first, second = self.outward
        return (first(g) + second(theta + phi)).reshape(x.shape)


class PublishedSNL(nn.Module):
    """SNL with its N x N matrix, step by step as published: product, symmetrise, degrees, normalise, apply."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.theta, self.phi, self.g = (nn.Conv3d(channels, inner, 1, bias=False) for _ in range(3))
        self.w_1, self.w_2 = (nn.Conv3d(inner, channels, 1, bias=False) for _ in range(2))
        self.norm = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> the same shape."""
        theta, phi, g = self.theta(x).flatten(2), self.phi(x).flatten(2), self.g(x)
        affinity = torch.bmm(theta.relu().mT, phi.relu())
        affinity = (affinity + affinity.mT) / 2
        degree = affinity.sum(2)
        root = torch.where(degree != 0, degree, 1.0).rsqrt() * (degree != 0)
        affinity = affinity * root.unsqueeze(1) * root.unsqueeze(2)
        filtered = torch.bmm(affinity, g.flatten(2).mT).mT.contiguous().view_as(g)
        return x + self.norm(self.w_1(g) + self.w_2(filtered)).relu()


def make(variant: str, channels: int) -> nn.Module | None:
    """The module of a variant, or ``None`` where its library is not installed."""
    if variant == "floor":
        return Floor(channels)
    if variant == "snl-published":
        return PublishedSNL(channels)
    if variant == "nl-mmcv":
        try:
            from mmcv.cnn import NonLocal3d
        except ImportError:
            return None
        return NonLocal3d(channels, sub_sample=False)
    name, impl = variant.split("-")
    return create_block(name, channels, impl=impl, gate=1.0)


def fits(variant: str, positions: int, batch: int) -> bool:
    """Whether the N x N matrices of a training step (about four of them in float32) stay within the limit."""
    return variant not in QUADRATIC or 16 * batch * positions**2 <= QUADRATIC_LIMIT


def bench_blocks(
    *,
    positions: tuple[int, ...] = tuple(CLIPS),
    channels: tuple[int, ...] = (512, 1024),
    batches: tuple[int, ...] = (1, 4),
    variants: tuple[str, ...] = VARIANTS,
    rounds: int = 5,
    device: str = "cpu",
    dtype: str = "float32",
) -> Iterator[Row]:
    """Measures every size, yielding rows as they come; the floor runs in every round beside the others.

    Args:
        positions: N, keys of :data:`CLIPS`.
        channels: C.
        batches: B.
        variants: of :data:`VARIANTS`.
        rounds: timed rounds (at large N fewer, but never less than 3).
        device: ``cpu`` or ``cuda``.
        dtype: ``float32``, ``bfloat16`` or ``float16`` (by autocast).

    Raises:
        ValueError: an N or a variant that is not known.
    """
    for n in positions:
        if n not in CLIPS:
            raise ValueError(f"positions={n} is not a size of the benchmark: choose from {', '.join(map(str, CLIPS))}.")
    for variant in variants:
        if variant not in VARIANTS:
            raise ValueError(f"variant {variant!r} is unknown: choose from {', '.join(VARIANTS)}.")
    wait = torch.cuda.synchronize if device == "cuda" else None
    for width in channels:
        for batch in batches:
            for n in positions:
                torch.manual_seed(0)
                x = torch.randn(batch, width, *CLIPS[n], device=device)
                blocks = {"floor": make("floor", width)} | {
                    variant: make(variant, width) for variant in variants if fits(variant, n, batch)
                }
                ready = {name: block.to(device) for name, block in blocks.items() if block is not None}
                count = max(3, min(rounds, int(rounds * 3e6 / (n * batch * width) + 1)))
                forward = interleaved(
                    {k: _forward(b, x, dtype) for k, b in ready.items()}, rounds=count, synchronize=wait
                )
                train = interleaved({k: _train(b, x, dtype) for k, b in ready.items()}, rounds=count, synchronize=wait)
                for name in ready:
                    yield Row(
                        name, n, width, batch, dtype, device,
                        statistics.median(forward[name]) * 1e3, ratio(forward, name, "floor"),
                        statistics.median(train[name]) * 1e3, ratio(train, name, "floor"),
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


def slope(rows: list[Row], variant: str, channels: int, batch: int, *, least: int = 784) -> float:
    """The log-log slope of training time over N from ``least`` up: 1 is linear, 2 quadratic."""
    points = [(math.log(r.positions), math.log(r.train_ms)) for r in rows
              if (r.variant, r.channels, r.batch) == (variant, channels, batch) and r.positions >= least]  # fmt: skip
    if len(points) < 2:
        return math.nan
    mean_n = statistics.mean(n for n, _ in points)
    mean_t = statistics.mean(t for _, t in points)
    return sum((n - mean_n) * (t - mean_t) for n, t in points) / sum((n - mean_n) ** 2 for n, _ in points)


@dataclass(frozen=True)
class MemoryRow:
    """Peak memory of a fresh process that runs one training step, above that of one that only makes the input."""

    variant: str
    positions: int
    channels: int
    batch: int
    mebibytes: float


def bench_memory(
    *,
    positions: tuple[int, ...] = (784, 3136, 12544, 50176),
    channels: int = 512,
    batch: int = 1,
    variants: tuple[str, ...] = ("floor", "snl-linear", "snl-published", "nl-attention", "nl-mmcv"),
) -> Iterator[MemoryRow]:
    """One fresh process per variant and size, so that no allocator keeps what another one used."""
    for n in positions:
        base = _peak("none", n, channels, batch)
        for variant in variants:
            if fits(variant, n, batch) and make(variant, 4) is not None:
                yield MemoryRow(variant, n, channels, batch, _peak(variant, n, channels, batch) - base)


def _peak(variant: str, positions: int, channels: int, batch: int) -> float:
    command = [sys.executable, "-m", "specvid.tools.bench_blocks", variant, str(positions), str(channels), str(batch)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _measure_own_peak(variant: str, positions: int, channels: int, batch: int) -> float:
    """MiB of peak resident memory of this process after one training step of a variant."""
    x = torch.randn(batch, channels, *CLIPS[positions])
    gradient = torch.ones_like(x)
    block = None if variant == "none" else make(variant, channels)
    if block is not None:
        x.requires_grad_()
        block(x).backward(gradient)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def as_table(rows: list[Row]) -> list[dict[str, object]]:
    """Rows as dictionaries, for tables and JSON."""
    return [asdict(row) for row in rows]


if __name__ == "__main__":
    print(_measure_own_peak(sys.argv[1], *map(int, sys.argv[2:5])))
