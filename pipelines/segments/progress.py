"""How far the segments of a video are, on stderr: a live bar in a terminal, else a line every half minute."""

import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from specvid.text import path_on_one_line

_EVERY = 30.0  # seconds


class SegmentProgress:
    """Called with a path, the frames that are done and all frames. A context manager.

    Args:
        status: gets the lines.
        every: seconds between lines.
    """

    def __init__(self, status: Callable[[str], None], every: float = _EVERY) -> None:
        self.status, self.every = status, every
        self._path = ""
        self._begun = self._shown = self._last = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> "SegmentProgress":
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        from specvid.pipelines.engine.log import console

        if console.is_terminal:
            columns = (BarColumn(20), TextColumn("{task.description}", markup=False))
            # results go to stdout: through the bar where both are one terminal, and else not
            own: dict[str, Any] = {"redirect_stdout": sys.stdout.isatty(), "redirect_stderr": False}
            self._bar = Bar(*columns, console=console, transient=True, **own)
            self._bar.add_task("", total=None)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, path: str, done: int, length: int) -> None:
        now = time.monotonic()
        if path != self._path:
            self._path, self._begun, self._shown = path, self._last, self._last  # when the one before it ended
        self._last = now
        if self._bar is not None:
            task, name = self._bar.task_ids[0], os.path.basename(path)
            self._bar.update(task, total=length, completed=done, description=self._line(name, done, length, now))
        elif now - self._shown >= self.every and done < length:
            self._shown = now
            self.status(self._line(path, done, length, now))

    def _line(self, name: str, done: int, length: int, now: float) -> str:
        """``film.mp4: 1,200 of 90,000 frames (1%)  240 frames/s  left 0:06:10``."""
        rate = done / max(now - self._begun, 1e-6)
        left = timedelta(seconds=round((length - done) / rate))
        share = f"{done:,} of {length:,} frames ({done / length:.0%})"
        return f"{path_on_one_line(name)}: {share}  {rate:.0f} frames/s  left {left}"
