"""How much memory the blocks take: a fresh process for each, so that no allocator holds what another one used."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from specvid.large_pages import VARIABLE
from specvid.tools.bench.blocks.variants import CLIPS, FORWARD_ONLY, VARIANTS, check_choices, left_out, make
from specvid.tools.bench.process_memory import peak_mebibytes, restart_peak

TRAINED = tuple(name for name in VARIANTS if name not in FORWARD_ONLY)


@dataclass(frozen=True)
class BlockMemory:
    """Peak memory of a training step.

    Attributes:
        variant: of ``VARIANTS``.
        positions: N.
        channels: C.
        batch: B.
        mebibytes: peak in a fresh process, above what is there before the step (PyTorch, weights, input).
    """

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
    variants: tuple[str, ...] = TRAINED,
) -> Iterator[BlockMemory]:
    """Measure each variant at each size in a fresh process, in float32 on the CPU, but those that ``left_out`` names.

    Args:
        positions: N, keys of ``CLIPS``.
        channels: C.
        batches: B.
        variants: of ``VARIANTS``, but not of ``FORWARD_ONLY``.

    Yields:
        Measurements as they come.

    Raises:
        ValueError: an N or a variant that is not known, or a variant that is not trained.
    """
    check_choices(positions, variants)
    if idle := [name for name in variants if name in FORWARD_ONLY]:
        raise ValueError(f"variant {idle[0]!r} has no training step, whose memory this is: leave it out.")
    for c, b, n, variant in itertools.product(channels, batches, positions, variants):
        if not left_out(variant, n, c, b) and make(variant, 4) is not None:
            yield BlockMemory(variant, n, c, b, _in_a_process(variant, n, c, b))


def _in_a_process(variant: str, positions: int, channels: int, batch: int) -> float:
    sizes = map(str, (positions, channels, batch))
    command = [sys.executable, "-m", "specvid.tools.bench.blocks.memory", variant, *sizes]
    settings = {name: value for name, value in os.environ.items() if name != VARIABLE}  # large pages round up
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=settings).stdout)


def _measure(variant: str, positions: int, channels: int, batch: int) -> float:
    """MiB that a training step adds to the peak of this process."""
    block = make(variant, channels)
    assert block is not None
    small = torch.randn(1, channels, 2, 4, 4, requires_grad=True)
    block(small).sum().backward()  # libraries and threads start
    block.zero_grad(set_to_none=True)
    x = torch.randn(batch, channels, *CLIPS[positions], requires_grad=True)
    gradient = torch.ones_like(x)
    before = restart_peak()
    block(x).backward(gradient)
    return peak_mebibytes() - before


if __name__ == "__main__":
    print(_measure(sys.argv[1], *map(int, sys.argv[2:5])))
