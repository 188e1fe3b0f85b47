"""What blocks add to a training step: the same backbone with and without them, step by step in turn.

One after the other, so that whatever slows the machine down slows both; the figure is the median of the ratios of
neighbouring steps, not the ratio of two runs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from specvid.models import create_model


@dataclass(frozen=True)
class StepTime:
    """One row: median ``seconds`` of a training step; ``ratio`` to the bare backbone (median, lower and upper
    quartile).
    """

    blocks: str
    parameters: int
    seconds: float
    ratio: float
    quartiles: tuple[float, float]


def bench_model(
    backbone: str = "r3d_18",
    blocks: Sequence[str] = ("snl@layer3.-1",),
    *,
    frames: int = 16,
    size: int = 112,
    batch: int = 2,
    steps: int = 15,
    num_classes: int = 101,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> list[StepTime]:
    """Time training steps (forward, cross-entropy, backward, SGD) of ``backbone`` bare and with each of ``blocks``.

    Clips are ``batch`` x 3 x ``frames`` x ``size`` x ``size``. Each of ``steps`` rounds runs one step of every model,
    the bare one first; two rounds before them warm up. ``progress``: called with a line a round. The first row is the
    bare backbone.
    """
    specs = ["", *blocks]
    runs = [_training_step(backbone, spec, frames, size, batch, num_classes, torch.device(device)) for spec in specs]
    seconds: list[list[float]] = []
    for round_ in range(-2, steps):
        times = [step() for step, _ in runs]
        if round_ >= 0:
            seconds.append(times)
        if progress is not None:
            progress(f"round {round_ + 1} of {steps}: " + ", ".join(f"{value:.3f} s" for value in times))
    rows = []
    for i, (spec, (_, parameters)) in enumerate(zip(specs, runs, strict=True)):
        ratios = [times[i] / times[0] for times in seconds]
        low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        median = statistics.median(times[i] for times in seconds)
        rows.append(StepTime(spec, parameters, median, statistics.median(ratios), (low, high)))
    return rows


def print_model_table(rows: Sequence[StepTime]) -> None:
    """Print the rows of `bench_model` as a table: what blocks add is the median, with the quartiles, of the rounds."""
    cells = [("blocks", "parameters", "s / step", "added", "quartiles")]
    for row in rows:
        added, low, high = (f"{100 * (ratio - 1):+.1f} %" for ratio in (row.ratio, *row.quartiles))
        line = (row.blocks or "(bare)", f"{row.parameters:,}", f"{row.seconds:.3f}")
        cells.append((*line, added, f"{low} to {high}") if row.blocks else (*line, "", ""))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for first, *others in cells:
        numbers = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        print("  ".join([first.ljust(widths[0]), *numbers]).rstrip())


def _training_step(
    backbone: str, blocks: str, frames: int, size: int, batch: int, num_classes: int, device: torch.device
) -> tuple[Callable[[], float], int]:
    """A function that runs one training step and answers with its seconds; the number of parameters of its model."""
    torch.manual_seed(0)
    model = create_model(backbone, blocks=blocks, num_classes=num_classes).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    x = torch.randn(batch, 3, frames, size, size, device=device)
    labels = torch.randint(num_classes, (batch,), device=device)
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def step() -> float:
        wait()
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), labels).backward()
        optimizer.step()
        wait()
        return time.perf_counter() - start

    return step, sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    print_model_table(bench_model(progress=print))
