"""How far an embedding is: a live bar on a terminal, else a line every half minute; and a line for each failure."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from specvid.pipelines.embed.shards import VideoResult
from specvid.pipelines.embed.tracks import noun_of
from specvid.text import counted, one_line

_EVERY = 30.0  # seconds
_SHORT_SHOWN = 10  # videos shorter than a clip that are printed
_FAILURES_SHOWN = 50  # failures that are printed; all of them are in errors.parquet


class Progress:
    """Counts inputs, frames and failures. A context manager.

    Args:
        total: how many inputs there are to do.
        echo: gets a line at a time.
        table: the table of inputs, for their names.
    """

    def __init__(self, total: int, echo: Callable[[str], None], table: Any) -> None:
        self.total, self.echo, self.table, self.noun = total, echo, table, noun_of(table)
        self.done = self.frames = self.failed = self.short = self.warned = 0
        self._begun = self._shown = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> "Progress":
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        from specvid.pipelines.engine.log import console

        if console.is_terminal:
            self._bar = Bar(BarColumn(20), TextColumn("{task.description}"), console=console, transient=True)
            self._bar.add_task("", total=self.total)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, result: VideoResult, frames: int) -> None:
        """Count one more input.

        Args:
            result: what came of it.
            frames: how many of its frames went through the network.
        """
        self.done += 1
        self.frames += frames
        if result.error:
            self.failed += 1
            if self.failed <= _FAILURES_SHOWN:
                self.echo(f"failed: {self._name(result)}: {one_line(result.error)}")
            if self.failed == _FAILURES_SHOWN:
                self.echo("more failures are not printed; errors.parquet names all")
        if result.short:
            self.short += 1
            if self.short <= _SHORT_SHOWN:
                self.echo(f"short: {self._name(result)}: {result.short}")
            if self.short == _SHORT_SHOWN:
                self.echo("more short ones are not printed; the data set says which, in last_frame")
        if result.warning:
            self.warned += 1
            if self.warned <= _SHORT_SHOWN:
                self.echo(f"warning: {self._name(result)}: {one_line(result.warning)}")
            if self.warned == _SHORT_SHOWN:
                self.echo("more warnings are not printed; warnings.parquet has all")
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self.done, description=self.line())
        elif time.monotonic() - self._shown > _EVERY:
            self._shown = time.monotonic()
            self.echo(self.line())

    def _name(self, result: VideoResult) -> str:
        return one_line(self.table["id"][result.row].as_py())

    def line(self) -> str:
        """``512 of 10,000 videos  12.3 videos/s  197 frames/s  left 0:12:51``."""
        seconds = max(time.monotonic() - self._begun, 1e-6)
        left = timedelta(seconds=round((self.total - self.done) * seconds / max(self.done, 1)))
        failed = f"  {self.failed} failed" if self.failed else ""
        return (
            f"{self.done:,} of {counted(self.total, self.noun)}  {self.done / seconds:.1f} {self.noun}s/s  "
            f"{self.frames / seconds:.0f} frames/s  left {left}{failed}"
        )
