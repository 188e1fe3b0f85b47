"""What blocks add to a training step: the same backbone with and without them, step by step in turn.

One after the other, so that whatever slows the machine down slows all alike; the figure is the median of the ratios
within a round, not the ratio of two runs.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from specvid.models import create_model
from specvid.pipelines.engine.log import silent
from specvid.text import to_text
from specvid.tools.bench.timing import interleaved, median, ratios


@dataclass(frozen=True)
class StepTime:
    """Training steps of a backbone with some blocks.

    Attributes:
        blocks: what was inserted; empty for the bare backbone.
        parameters: of the whole model.
        seconds: median of a step.
        ratio: to the bare backbone, median over the rounds.
        quartiles: lower and upper quartile of this ratio.
    """

    blocks: str
    parameters: int
    seconds: float
    ratio: float
    quartiles: tuple[float, float]


def bench_model(
    model: str = "r3d_18",
    blocks: Sequence[str] = ("snl@layer3.-1",),
    *,
    frames: int = 16,
    size: int = 112,
    batch: int = 2,
    steps: int = 15,
    num_classes: int = 101,
    device: str = "cpu",
    cpu: bool = False,
    status: Callable[[str], None] = silent,
) -> list[StepTime]:
    """Time training steps (forward, cross-entropy, backward, SGD) of a backbone, bare and with blocks.

    Args:
        model: the backbone.
        blocks: each is compared with the bare backbone.
        frames: of a clip.
        size: height and width of a frame, px.
        batch: clips at a time.
        steps: timed rounds; each runs one step of every model. Two rounds before them warm up.
        num_classes: classes of the head.
        device: ``cpu`` or ``cuda``.
        cpu: CPU time instead of that of the clock.
        status: called with a line for each round.

    Returns:
        The bare backbone, then a row for each of ``blocks``.
    """
    specs = ["", *blocks]
    runs = {spec: _training_step(model, spec, frames, size, batch, num_classes, torch.device(device)) for spec in specs}

    def progress(number: int, seconds: dict[str, float]) -> None:
        status(f"round {number} of {steps}: " + ", ".join(f"{seconds[spec]:.3f} s" for spec in specs))

    seconds = interleaved(
        {spec: step for spec, (step, _) in runs.items()},
        rounds=steps,
        warm_up=2,
        synchronize=torch.cuda.synchronize if device == "cuda" else None,
        cpu=cpu,
        on_round=progress,
    )
    rows = []
    for spec, (_, parameters) in runs.items():
        of_rounds = ratios(seconds, spec, "")
        low, _, high = statistics.quantiles(of_rounds, n=4) if len(of_rounds) > 1 else of_rounds * 3
        rows.append(StepTime(spec, parameters, median(seconds[spec]), statistics.median(of_rounds), (low, high)))
    return rows


def as_text(rows: Sequence[StepTime]) -> str:
    """A table: what blocks add is the median of the rounds, with the quartiles.

    Args:
        rows: from ``bench_model``.
    """
    cells = [["blocks", "parameters", "s / step", "added", "quartiles"]]
    for row in rows:
        added, low, high = (f"{100 * (ratio - 1):+.1f} %" for ratio in (row.ratio, *row.quartiles))
        line = [row.blocks or "(bare)", f"{row.parameters:,}", f"{row.seconds:.3f}"]
        cells.append([*line, added, f"{low} to {high}"] if row.blocks else [*line, "", ""])
    return to_text(cells, align="<>", rule=False)


def _training_step(
    model: str, blocks: str, frames: int, size: int, batch: int, num_classes: int, device: torch.device
) -> tuple[Callable[[], None], int]:
    """A function that runs one training step, and the number of parameters of its model."""
    torch.manual_seed(0)
    network = create_model(model, blocks=blocks, num_classes=num_classes).to(device).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    x = torch.randn(batch, 3, frames, size, size, device=device)
    labels = torch.randint(num_classes, (batch,), device=device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(network(x), labels).backward()
        optimizer.step()

    return step, sum(parameter.numel() for parameter in network.parameters())
