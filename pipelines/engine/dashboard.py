"""A training as it is watched: the live view, or a line twice a minute; TensorBoard, Weights & Biases."""

import math
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.live import Live

from specvid.pipelines.engine.board import Board
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.live import LiveView
from specvid.pipelines.engine.log import console, log
from specvid.pipelines.engine.run import RunFolder

_SILENCE_S = 30.0  # at most, where there is no terminal for the view
_LEFT_OUT = {"epoch", "step", "clips", "lr", "unreadable", "repeated", "unusual"}  # of an epoch's line as it is printed
_WARNINGS = {
    "unreadable": "unreadable",
    "repeated": "with repeated frames",
    "unusual": "not as headers or lists announce",
}


class Dashboard:
    """Shows a training; does nothing outside the main process. A context manager.

    Args:
        folder: of the run.
        config: of the training.
        steps: that are left to do.
        is_main: whether this is the main process.
    """

    def __init__(self, folder: Path, config: EngineConfig, steps: range, *, is_main: bool) -> None:
        self.folder, self.config, self.is_main = folder, config, is_main
        self.steps = steps
        self._board: Board | None = None
        self._view = LiveView(config.epochs, steps)
        for line in RunFolder(folder).lines() if steps.start else []:  # of a run that goes on
            self._view.epoch(line)
        self._live: Live | None = None
        self._started = self._spoke = time.monotonic()

    def __enter__(self) -> "Dashboard":
        tensorboard, wandb = self.config.tensorboard, self.config.wandb
        if self.is_main and (tensorboard or wandb):
            self._board = Board(self.folder, start=self.steps.start, tensorboard=tensorboard, wandb=wandb)
        if self.is_main and console.is_terminal:
            self._live = Live(self._view, console=console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        if self._board is not None:
            self._board.close()

    def step(self, step: int, epoch: int, now: Mapping[str, float]) -> None:
        """Move the view; without a terminal, log where the training is where it was silent for 30 s.

        Args:
            step: that is done.
            epoch: that it is in.
            now: loss, clips per second and share of the time spent waiting for data, in the epoch so far; and
                ``batch_loss`` and ``lr`` of this step.
        """
        if not self.is_main:
            return
        if self._board is not None:
            self._board.step(step, now)
        # Numbers are read from the device one batch late: the first step of an epoch has none yet.
        known = math.isfinite(now["loss"])
        speed = f"{now['clips_per_s']:.1f} clips/s  waiting {now['wait_share']:.0%}"
        figures = f"loss {now['loss']:.4f}  {speed}" if known else f"waiting {now['wait_share']:.0%}"
        epochs, clock = f"epoch {epoch + 1}/{self.config.epochs}", time.monotonic()
        if self._live is not None:
            self._view.step(step, epoch, now, clock - self._started)
        elif clock - self._spoke >= _SILENCE_S:
            self._spoke = clock
            left = (clock - self._started) / (step - self.steps.start) * (self.steps.stop - step)
            log.info(f"{epochs}  step {step}/{self.steps.stop}  {figures}  left {timedelta(seconds=round(left))}")

    def epoch(self, line: Mapping[str, Any], speed: Mapping[str, Any]) -> None:
        """Show an epoch's figures everywhere but in the run's files.

        Args:
            line: of metrics.jsonl.
            speed: of speed.jsonl.
        """
        if not self.is_main:
            return
        self._spoke = time.monotonic()
        self._view.epoch(line)
        numbers = {name: value for name, value in line.items() if isinstance(value, int | float)}
        figures = [f"{name} {_short(value)}" for name, value in numbers.items() if name not in _LEFT_OUT]
        warnings = [f"{line[name]} {words}" for name, words in _WARNINGS.items() if line.get(name)]
        rates = [f"lr {line['lr']:.2e}", f"{speed['clips_per_s']:.1f} clips/s", f"waiting {speed['wait_share']:.0%}"]
        log.info("  ".join([f"epoch {line['epoch'] + 1}/{self.config.epochs}", *figures, *rates, *warnings]))
        if self._board is not None:
            self._board.epoch(line, speed)


def _short(value: float) -> str:
    """A figure in a few digits."""
    return str(value) if isinstance(value, int) else f"{value:.4f}"
