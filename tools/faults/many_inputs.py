"""Start commands on very many files, and see how long it takes until their work begins, and how much memory.

    python -m specvid.tools.faults.many_inputs [--files 200000]

Prints the table that stands in ``docs/testing.md``. The files are empty: what is timed is finding them. Linux only.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from specvid.text import to_markdown

PATIENCE = 20.0
"""Seconds of computing within which the work of each command must begin."""
MEMORY = 1500.0
"""MiB that the main process may hold until then, PyTorch included."""
_CLASSES = 100
_LIMIT = 600.0  # s on the clock
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True)
class Start:
    """How a command began.

    Attributes:
        command: its words.
        seconds: until its work began.
        computing: seconds of a core that it took until then.
        mebibytes: most memory until then.
    """

    command: str
    seconds: float
    computing: float
    mebibytes: float


def write_files(folder: Path, count: int) -> None:
    """Make a data set of empty files, and a list of them.

    Args:
        folder: gets ``data/`` and ``list.txt``.
        count: of files.
    """
    names = [f"data/class{number % _CLASSES:03d}/{number:07d}.avi" for number in range(count)]
    for number in range(_CLASSES):
        (folder / f"data/class{number:03d}").mkdir(parents=True)
    for name in names:
        os.close(os.open(folder / name, os.O_CREAT | os.O_WRONLY))
    (folder / "list.txt").write_text("\n".join(names) + "\n")


def start(words: Sequence[str], begun: Callable[[int], bool]) -> Start:
    """Start a command, and end it once its work has begun.

    Args:
        words: of ``specvid``.
        begun: gets its process id; says whether the work has begun. A command that ends has begun too.

    Returns:
        How it began.

    Raises:
        RuntimeError: it failed, or took too long.
    """
    since = time.monotonic()
    command = [sys.executable, "-m", "specvid", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    computing = mebibytes = 0.0
    while process.poll() is None:
        computing, mebibytes = _used(process.pid, computing, mebibytes)
        if begun(process.pid):
            break
        if time.monotonic() - since > _LIMIT:
            os.killpg(process.pid, signal.SIGKILL)
            raise RuntimeError(f"specvid {' '.join(words)} does not begin within {_LIMIT:.0f} s")
        time.sleep(0.05)
    seconds, ended = time.monotonic() - since, process.poll()
    if ended is None:
        os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate()
    if ended:
        raise RuntimeError(f"specvid {' '.join(words)}: exit code {ended}\n{errors}")
    return Start(" ".join(words[:2]), seconds, computing, mebibytes)


def run(folder: Path, count: int) -> list[Start]:
    """Start each command.

    Args:
        folder: where to work.
        count: of files.
    """
    write_files(folder, count)
    data, network = str(folder / "data"), ["--model", "r3d_tiny", "--device", "cpu", "--workers", "1"]

    def is_agreed(process: int) -> bool:
        return any(folder.glob("out*/embed.json"))

    found = [start(["embed", data, *network, "--out", str(folder / "out")], is_agreed)]
    (folder / "out/embed.json").unlink()
    found.append(start(["embed", str(folder / "list.txt"), *network, "--out", str(folder / "out2")], is_agreed))
    found.append(start(["data", "check", "folders", data, "--workers", "1"], _has_child))
    found.append(start(["data", "check", "folders", data, "--fast"], lambda process: False))
    names = ["embed FOLDER", "embed LIST", "data check", "data check --fast (to its end)"]
    return [Start(name, one.seconds, one.computing, one.mebibytes) for name, one in zip(names, found, strict=True)]


def as_table(found: Sequence[Start], count: int) -> str:
    """The Markdown table of what was found.

    Args:
        found: of `run`.
        count: of files.

    Returns:
        A row for each command.
    """
    rows = [["command", "files", "begins after", "of a core", "memory"]]
    for one in found:
        times = [f"{one.seconds:.1f} s", f"{one.computing:.1f} s"]
        rows.append([one.command, f"{count:,}", *times, f"{one.mebibytes:.0f} MiB"])
    return to_markdown(rows)


def _used(process: int, computing: float, mebibytes: float) -> tuple[float, float]:
    """Seconds of a core and most MiB of a process; those before where it has just ended."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return computing, mebibytes
    return (int(stat[11]) + int(stat[12])) / _TICKS, peak / 2**10


def _has_child(process: int) -> bool:
    try:
        return bool(Path(f"/proc/{process}/task/{process}/children").read_text().split())
    except OSError:
        return False


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: its words; those of the process if None.

    Returns:
        The exit code; 1 where a command takes too long or too much.
    """
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m specvid.tools.faults.many_inputs", description=about)
    parser.add_argument("--files", type=int, default=200_000)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), options.files)
    print(as_table(found, options.files))
    return int(any(one.computing > PATIENCE or one.mebibytes > MEMORY for one in found))


if __name__ == "__main__":
    raise SystemExit(main())
