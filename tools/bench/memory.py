"""How much memory the blocks take: a fresh process for each, so that no allocator keeps what another one used."""

import contextlib
import itertools
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from specvid.tools.bench.variants import CLIPS, VARIANTS, check_choices, left_out, make


@dataclass(frozen=True)
class MemoryRow:
    """Peak memory of a training step in a fresh process, above what stands before it (PyTorch, weights, input)."""

    variant: str
    positions: int
    channels: int
    batch: int
    mebibytes: float


def bench_memory(
    *,
    positions: tuple[int, ...] = tuple(CLIPS),
    channels: tuple[int, ...] = (512, 1024),
    batches: tuple[int, ...] = (1, 4),
    variants: tuple[str, ...] = VARIANTS,
) -> Iterator[MemoryRow]:
    """One fresh process per variant and size, in float32 on the CPU; what `bench_blocks` leaves out is left out here.

    Raises:
        ValueError: positions or a variant that are none of `CLIPS` or `VARIANTS`.
    """
    check_choices(positions, variants)
    for c, b, n, variant in itertools.product(channels, batches, positions, variants):
        if not left_out(variant, n, c, b) and make(variant, 4) is not None:
            yield MemoryRow(variant, n, c, b, _in_a_process(variant, n, c, b))


def _in_a_process(variant: str, positions: int, channels: int, batch: int) -> float:
    command = [sys.executable, "-m", "specvid.tools.bench.memory", variant, str(positions), str(channels), str(batch)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _measure(variant: str, positions: int, channels: int, batch: int) -> float:
    """MiB that a training step adds to the peak of this process."""
    block = make(variant, channels)
    assert block is not None
    small = torch.randn(1, channels, 2, 4, 4, requires_grad=True)
    block(small).sum().backward()  # libraries and threads start
    block.zero_grad(set_to_none=True)
    x = torch.randn(batch, channels, *CLIPS[positions], requires_grad=True)
    gradient = torch.ones_like(x)
    before = _restart_peak()
    block(x).backward(gradient)
    return _peak() - before


def _restart_peak() -> float:
    """MiB that the process takes now, from which on the peak counts; only Linux can start it anew."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> float:
    """MiB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 2**10
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    print(_measure(sys.argv[1], *map(int, sys.argv[2:5])))
