"""How an embedding ended: the counts, and the one line about a disk that gave out."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from specvid.pipelines.embed.sources import one_line


@dataclass(frozen=True)
class Outcome:
    """``videos``: inputs; ``failed``: those in errors.parquet; ``short``: those with fewer frames than a clip, which
    were played again from their start; ``rows``: of the data set; ``done``: inputs done now;
    ``frames``: frames that went through the network now; ``seconds``: now; ``complete``: all shards are there.
    """

    out: Path
    videos: int
    failed: int
    short: int
    rows: int
    done: int
    frames: int
    seconds: float
    complete: bool

    def line(self) -> str:
        """The last line of the command."""
        speed = (
            f"{self.done / self.seconds:.1f} videos/s, {self.frames / self.seconds:.0f} frames/s" if self.done else ""
        )
        if not self.complete:
            return f"this process embedded its share, {self.done} videos" + (f" ({speed})" if speed else "")
        now = f"; now {self.done} ({speed})" if self.done else "; nothing was missing"
        out, errors = (one_line(str(path)) for path in (self.out, self.out / "errors.parquet"))
        failed = f"{self.failed} failed, see {errors}" if self.failed else "0 failed"
        good = self.videos - self.failed
        short = f"; {self.short} shorter than a clip, with frames taken more than once" if self.short else ""
        return f"embedded {good} of {self.videos} videos, {self.rows} rows in {out}{now}{short}; {failed}"


_WHY = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than this process may write",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "the folder may not be written",
    errno.EPERM: "the folder may not be written",
}


def disk_error(error: OSError, target: Path) -> OSError:
    """The same failure, said so that one knows what to do. What was written before stays valid."""
    number = error.errno
    if number is None:  # Arrow's errors carry it in their text only
        number = next((code for code in _WHY if f"[Errno {code}]" in str(error) or os.strerror(code) in str(error)), 0)
    why = _WHY.get(number or 0, error.strerror or str(error))
    return OSError(f"{target} cannot be written: {why}. Mend that and start again: only what is missing will be done.")
