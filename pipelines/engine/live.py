"""The live view of a training in a terminal: four lines that stay in place below what is logged.

epoch 3/30  step 120/1500 ━━━━╺━━━━━━━━━━━━━━━━━━  0:01:20, left 0:15:20
loss        0.8312  ▇▆▆▅▃▃▂▁
val_top1    0.6100  ▁▃▅▇  best 0.6300
12.3 clips/s  waiting 4%  memory 3.1 GB  GPU 4.2 of 79.6 GB
"""

import math
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_BARS, _ASCII_BARS = "▁▂▃▄▅▆▇█", "_.-=*#"
_MOST_POINTS = 4096  # of the loss that are held; beyond them each two become their mean
_WIDEST = 60  # columns of a sparkline
_NO_METRICS = ("loss", "val_loss", "lr")
_LESS_IS_BETTER = ("loss", "error")


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """A curve in one line of text.

    Args:
        values: in order; those that are not finite are left out.
        width: most characters; where there are more values, each character is the mean of several.
        ascii_only: for terminals without block characters.

    Returns:
        A character for each value, or for several; empty where there are no values.
    """
    known = [value for value in values if math.isfinite(value)]
    if not known or width < 1:
        return ""
    if len(known) > width:
        edges = [len(known) * at // width for at in range(width + 1)]
        known = [sum(known[a:b]) / (b - a) for a, b in pairwise(edges)]
    bars = _ASCII_BARS if ascii_only else _BARS
    least, most = min(known), max(known)
    scale = (len(bars) - 1) / (most - least) if most > least else 0.0
    return "".join(bars[round((value - least) * scale)] for value in known)


class LiveView:
    """What the view shows; rich asks it for its lines some times a second.

    Args:
        epochs: of the training.
        steps: that are left to do.
    """

    def __init__(self, epochs: int, steps: range) -> None:
        self._epochs, self._steps = epochs, steps
        self._epoch, self._step, self._elapsed = 0, steps.start, 0.0
        self._now: dict[str, float] = {}
        self._losses: list[float] = []
        self._metric, self._scores = "", list[float]()

    def step(self, step: int, epoch: int, now: Mapping[str, float], elapsed: float) -> None:
        """Take the figures of a step.

        Args:
            step: that is done.
            epoch: that it is in.
            now: as `Dashboard.step` gets it.
            elapsed: seconds since the start.
        """
        self._step, self._epoch, self._elapsed = step, epoch, elapsed
        if math.isfinite(now["loss"]):  # at the first step of an epoch nothing is known yet: what was stays
            self._now = dict(now)
        if math.isfinite(now["batch_loss"]):
            self._losses.append(now["batch_loss"])
        if len(self._losses) > _MOST_POINTS:
            self._losses = [sum(pair) / 2 for pair in zip(self._losses[::2], self._losses[1::2], strict=False)]

    def epoch(self, line: Mapping[str, Any]) -> None:
        """Take the figures of an epoch: the first one of the validation part, or else of the training.

        Args:
            line: of metrics.jsonl; those of the epochs before it, where a run goes on.
        """
        figures = [
            name for name, value in line.items() if isinstance(value, float) and name not in (*_NO_METRICS, "lr")
        ]
        scored = [name for name in figures if name.startswith("val_")]
        if not self._metric and figures:
            self._metric = (scored or figures)[0]
        if isinstance(line.get(self._metric), float):
            self._scores.append(line[self._metric])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        plain = options.ascii_only
        done, left = self._step - self._steps.start, self._steps.stop - self._step
        remaining = timedelta(seconds=round(self._elapsed / done * left)) if done else "-:--:--"
        where = f"epoch {self._epoch + 1}/{self._epochs}  step {self._step}/{self._steps.stop} "
        clock = f"  {timedelta(seconds=round(self._elapsed))}, left {remaining}"
        bar = ProgressBar(total=max(self._steps.stop, 1), completed=self._step, width=max(4, min(60, width - 52)))
        head = Table.grid()
        head.add_row(Text(where, no_wrap=True), bar, Text(clock, no_wrap=True))
        yield head
        yield self._curve("loss", self._now.get("loss", math.nan), self._losses, "", width, plain)
        if self._scores:
            best = min(self._scores) if self._metric.endswith(_LESS_IS_BETTER) else max(self._scores)
            yield self._curve(self._metric, self._scores[-1], self._scores, f"  best {best:.4f}", width, plain)
        yield Text("  ".join(self._speed()), no_wrap=True, overflow="ellipsis", style="dim")

    def _curve(self, name: str, value: float, values: Sequence[float], after: str, width: int, plain: bool) -> Text:
        """A figure and its curve, in one line."""
        head = f"{name:<12}{value:.4f}  " if math.isfinite(value) else f"{name:<12}-  "
        room = min(_WIDEST, width - len(head) - len(after) - 1)
        line = Text(head, no_wrap=True, overflow="ellipsis")
        return line.append(sparkline(values, room, ascii_only=plain), style="cyan").append(after)

    def _speed(self) -> list[str]:
        now = self._now
        known = math.isfinite(now.get("loss", math.nan))
        speed = [f"{now['clips_per_s']:.1f} clips/s"] if known else []
        speed += [f"waiting {now['wait_share']:.0%}"] if "wait_share" in now else []
        return [*speed, *memory_used()]


def memory_used() -> list[str]:
    """The memory of this process, and of its GPU where it uses one, in words; empty where it cannot be told."""
    found = []
    try:
        with open("/proc/self/statm") as file:
            found.append(f"memory {int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 1e9:.1f} GB")
    except (OSError, ValueError, IndexError):  # not Linux
        pass
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        used, total = (
            torch.cuda.memory_reserved(),
            torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory,
        )
        found.append(f"GPU {used / 1e9:.1f} of {total / 1e9:.1f} GB")
    return found
