"""Where a run's text goes: the terminal and ``log.txt``. Any code calls ``log.info``; this decides who reads it."""

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from specvid.errors import disk_error
from specvid.files import naming
from specvid.text import without_controls

log = logging.getLogger("specvid")
console = Console(stderr=True)


class _Terminal(logging.Handler):
    """Lines on stderr, above the live bar where there is one; warnings are marked."""

    def emit(self, record: logging.LogRecord) -> None:
        warning = record.levelno >= logging.WARNING
        status(
            f"warning: {self.format(record)}" if warning else self.format(record), style="yellow" if warning else None
        )


class _File(logging.Handler):
    """Whole lines at the end of a file. Where the disk is full they are left out, which is said once."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path, self._full = path, False
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def emit(self, record: logging.LogRecord) -> None:
        line = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
        size = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, line) < len(line):
                os.ftruncate(self._descriptor, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            if not self._full:
                status(
                    f"warning: {disk_error(error, self._path, fix='lines are written again') or error}", style="yellow"
                )
            self._full = True

    def close(self) -> None:
        os.close(self._descriptor)
        super().close()


@contextmanager
def logging_to(folder: Path, *, is_main: bool) -> Iterator[None]:
    """Send ``log`` to the terminal and to ``folder/log.txt`` while the block runs.

    Args:
        folder: of the run.
        is_main: whether this is the main process; the others write no file, and only warnings to the terminal.
    """
    handlers: list[logging.Handler] = [_Terminal(logging.INFO if is_main else logging.WARNING)]
    if is_main:
        with naming(folder / "log.txt"):
            folder.mkdir(parents=True, exist_ok=True)
            file = _File(folder / "log.txt")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(file)
    before = log.level, log.propagate
    log.setLevel(logging.INFO)
    log.propagate = False
    for handler in handlers:
        log.addHandler(handler)
    try:
        yield
    finally:
        log.level, log.propagate = before
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()


def status(text: str, *, style: str | None = None) -> None:
    """Print a line on stderr: what goes on, above a live bar where there is one.

    Args:
        text: the line.
        style: colour, as rich names it.
    """
    console.print(without_controls(text), style=style, markup=False, highlight=False, soft_wrap=True)


def echo(text: str) -> None:
    """Print a plain line on stdout: results, meant to be read or piped.

    Args:
        text: the line, or several.
    """
    sys.stdout.write(without_controls(text) + "\n")
    sys.stdout.flush()


def silent(text: str) -> None:
    """Print nothing, in the place of `echo` or `status`.

    Args:
        text: what would be printed.
    """
