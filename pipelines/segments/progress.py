"""How far the segments of a video are: a line on stderr every half minute."""

import time
from collections.abc import Callable
from datetime import timedelta

from specvid.text import path_on_one_line

_EVERY = 30.0  # seconds


class SegmentProgress:
    """Called with a path, the frames that are done and all frames; prints a line now and then.

    Args:
        status: gets the line.
        every: seconds between lines.
    """

    def __init__(self, status: Callable[[str], None], every: float = _EVERY) -> None:
        self.status, self.every = status, every
        self._path = ""
        self._begun = self._shown = time.monotonic()

    def __call__(self, path: str, done: int, length: int) -> None:
        now = time.monotonic()
        if path != self._path:
            self._path, self._begun, self._shown = path, now, now
        elif now - self._shown > self.every and done < length:
            self._shown = now
            rate = done / max(now - self._begun, 1e-6)
            left = timedelta(seconds=round((length - done) / rate))
            share = f"{done:,} of {length:,} frames ({done / length:.0%})"
            self.status(f"{path_on_one_line(path)}: {share}  {rate:.0f} frames/s  left {left}")
