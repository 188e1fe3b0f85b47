"""Attempts at a verb: each a fork in a process group of its own, which may signal itself when it changes a folder."""

import contextlib
import importlib
import os
import pkgutil
import runpy
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from specvid.tools.faults.scenarios import Scenario, Words

PATIENCE = 5.0
"""Seconds after which no process may be left, and, after SIGTERM and SIGINT, half of those in which all must end."""
_WRITES = ("w", "a", "x", "+")
_HEAVY = ("faiss", "pyarrow.parquet", "pyarrow.compute", "cv2", "av", "matplotlib.figure", "torch.export", "torch.onnx")
_CHANGES = {"os.rename": (0, 1), "os.remove": (0,), "os.rmdir": (0,), "os.mkdir": (0,), "os.link": (0, 1)}


class Stage:
    """A folder in which one verb is started, killed and started again.

    Args:
        scenario: the verb.
        folder: an empty one.

    Attributes:
        disk: the folder around the output, which may become a disk of its own.
    """

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.inputs, self.log = scenario, folder / "inputs", folder / "log.txt"
        self.disk, self.out = folder / "disk", folder / "disk" / "out"
        self.inputs.mkdir(parents=True)
        self.disk.mkdir()
        scenario.inputs(self.inputs, self.run_to_the_end)
        self.words = scenario.words(self.inputs, self.out)

    def reset(self) -> None:
        """Put the output folder back to what it starts as."""
        shutil.rmtree(self.out, ignore_errors=True)
        if self.scenario.start:
            shutil.copytree(self.inputs / self.scenario.start, self.out)
        else:
            self.out.mkdir()

    def run_to_the_end(self, words: Words) -> float:
        """Run a verb that nobody kills.

        Args:
            words: its command line.

        Returns:
            Seconds that it took.

        Raises:
            RuntimeError: it failed.
        """
        begun = time.monotonic()
        _, status = os.waitpid(start(words, self.log), 0)
        if status:
            raise RuntimeError(
                f"specvid {' '.join(words)}: exit code {os.waitstatus_to_exitcode(status)}\n{self.printed()}"
            )
        return time.monotonic() - begun

    def printed(self) -> str:
        """What the last attempt printed."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def count_changes(self) -> int:
        """How often an uninterrupted run changes the output folder."""
        self.reset()
        counter = self.log.with_name("changes")
        os.waitpid(start(self.words, self.log, watched=self.out, count_into=counter), 0)
        return int(counter.read_text())


def start(
    words: Words,
    log: Path,
    *,
    watched: Path | None = None,
    change: int = -1,
    number: int = signal.SIGKILL,
    count_into: Path | None = None,
    prepare: Callable[[], object] | None = None,
) -> int:
    """Start ``specvid WORDS`` in a fork, the first process of a group of its own, and wait until its verb begins.

    Args:
        words: the command line.
        log: the file that gets what it prints.
        watched: the folder whose changes count.
        change: the one before which it signals itself; none if negative.
        number: of that signal.
        count_into: a file that gets the number of changes at the end.
        prepare: called in the process before the verb, to take rights from it, for example.

    Returns:
        The process id.
    """
    begun, begins = os.pipe()
    child = os.fork()
    if child:
        os.close(begins)
        with contextlib.suppress(OSError):  # it may have done so itself, and have ended
            os.setpgid(child, child)
        os.read(begun, 1)
        os.close(begun)
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = os.fdopen(1, "w", closefd=False)  # the one before remembers its place in another file
        count = _watch(watched, change, number) if watched is not None else [0]
        if prepare is not None:
            prepare()
        _announce(begins)
        sys.argv = ["specvid", *words]
        try:
            runpy.run_module("specvid", run_name="__main__")
        except SystemExit as stop:
            code = int(stop.code or 0)
        if count_into is not None:
            count_into.write_text(str(count[0]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _announce(descriptor: int) -> None:
    """Close a pipe as soon as the verb handles signals: what hits it earlier, hits the start."""
    cli = importlib.import_module("specvid.cli")
    usual = cli.ending_on_signals

    @contextlib.contextmanager
    def announcing(stopped: str) -> Iterator[None]:
        with usual(stopped):
            os.close(descriptor)
            yield

    cli.ending_on_signals = announcing  # type: ignore[attr-defined]


def _watch(folder: Path, change: int, number: int) -> list[int]:
    """Count the changes of a folder by this process, and signal it before one of them."""
    inside, count, here = str(folder), [0], os.getpid()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            changes = any(letter in mode for letter in _WRITES) if mode else bool(flags & (os.O_WRONLY | os.O_RDWR))
            paths = (path,) if changes else ()
        elif event in _CHANGES:
            paths = tuple(arguments[place] for place in _CHANGES[event])
        else:
            return
        if os.getpid() == here and any(isinstance(path, str | os.PathLike) and _below(path, inside) for path in paths):
            count[0] += 1  # first: what handles the signal may raise here
            if count[0] == change + 1:
                (os.kill if number == signal.SIGKILL else os.killpg)(here, number)

    sys.addaudithook(hook)
    return count


def _below(path: str | os.PathLike[str], folder: str) -> bool:
    return os.fspath(path).startswith(folder)


def left_behind(group: int) -> list[str]:
    """The processes of a group that are still alive after a while; they are then killed.

    Args:
        group: number of the group.

    Returns:
        Their numbers.
    """
    until = time.monotonic() + PATIENCE
    while left := _alive(group):
        if time.monotonic() > until:
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            return [f"{process}" for process in left]
        time.sleep(0.05)
    return []


def _alive(group: int) -> list[int]:
    """The processes of a group, without those that have ended and that nobody has asked for."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                state, _, own = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:  # it ended meanwhile
                continue
            if int(own) == group and state not in "ZX":
                found.append(int(entry))
    return found


def import_everything() -> None:
    """Import all that any verb uses, so that forks need not."""
    import specvid

    for package in ("cli", "pipelines", "datasets", "eval", "models", "tools.data"):
        module = importlib.import_module(f"specvid.{package}")
        for info in pkgutil.walk_packages(module.__path__, f"{module.__name__}."):
            if "mmaction" not in info.name:  # takes long, and nothing here uses it
                importlib.import_module(info.name)
    for name in _HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    import torch

    assert specvid
    torch.set_num_threads(1)
