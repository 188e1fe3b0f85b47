"""How long one waits for the first sign of life: imports, the first step of a training, the first figure of the demo.

Each in processes of its own, in turn, by the clock from before the process starts; beside it the time in the same round
that PyTorch alone takes to be imported, which nothing that computes can be faster than.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specvid.datasets.synthetic.ucf101 import synthesize_ucf101
from specvid.pipelines.engine.log import silent
from specvid.text import to_text
from specvid.tools.timing import Stopwatch, interleaved, median, ratio

PYTHON, TORCH, IMPORT, HELP = "an empty Python", "import torch", "import specvid", "specvid --help"
TRAINING, DEMO = "specvid train action: first step", "specvid demo: first figure of a training"


@dataclass(frozen=True)
class StartTime:
    """Seconds until something is there.

    Attributes:
        name: what.
        seconds: median over the rounds, from before the process starts.
        to_torch: median ratio to ``import torch`` in the same round.
    """

    name: str
    seconds: float
    to_torch: float


def bench_start(*, rounds: int = 3, quick: bool = False, status: Callable[[str], None] = silent) -> list[StartTime]:
    """Time how programs start.

    Args:
        rounds: how often each; one round before them warms up (the system holds the files then).
        quick: the demo once, and in the round that warms up, which then counts for whatever takes seconds.
        status: called with a line for each round.

    Returns:
        A row for each of ``PYTHON``, ``TORCH``, ``IMPORT``, ``HELP``, ``TRAINING`` and ``DEMO``.

    Raises:
        ValueError: a program ended before it printed what it was waited for.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = synthesize_ucf101(Path(folder) / "synthetic", scenes=2).root
        training = ["train", "action", "--data", str(data), "--model", "r3d_tiny", "--max-steps", "1"]
        number = iter(range(1_000_000))  # each in a folder of its own

        def train() -> float:
            return _first_loss([*training, "--runs", folder, "--name", f"run{next(number)}"], folder)

        def demo() -> float:
            return _first_loss(["demo", "--out", str(Path(folder) / f"demo{next(number)}")], folder)

        work: dict[str, Callable[[], float]] = {
            PYTHON: lambda: _python("pass"),
            TORCH: lambda: _python("import torch"),
            IMPORT: lambda: _python("import specvid"),
            HELP: lambda: _run(["-m", "specvid", "--help"]),
            TRAINING: train,
            DEMO: demo,
        }

        def progress(number: int, seconds: dict[str, float]) -> None:
            when = f"round {number} of {rounds}" if number > 0 else "warm-up"
            status(f"{when}: " + ", ".join(f"{name} {seconds[name]:.2f} s" for name in work if name in seconds))

        patience = {TRAINING: float("inf"), DEMO: 0.0} if quick else {}
        seconds = interleaved(work, rounds=rounds, patience=patience, clock=_own_clock, on_round=progress)
    return [StartTime(name, median(seconds[name]), ratio(seconds, name, TORCH)) for name in work]


def as_text(rows: Sequence[StartTime]) -> str:
    """A table.

    Args:
        rows: from ``bench_start``.
    """
    cells = [["", "s", "times import torch"]]
    cells += [[row.name, f"{row.seconds:.3g}", f"{row.to_torch:.3g}"] for row in rows]
    return to_text(cells, align="<>>", rule=False)


def _own_clock(run: Callable[[], Any]) -> float:
    """What is timed says how long it took: ending a process takes time, too, for which nobody waits."""
    return float(run())


def _python(code: str) -> float:
    return _run(["-c", code])


def _run(words: Sequence[str]) -> float:
    """Seconds of a command from start to end."""
    with Stopwatch() as watch:
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return watch.seconds


def _first_loss(words: Sequence[str], scratch: str) -> float:
    """Seconds until a command prints a loss; it is ended then. What it leaves behind lies in ``scratch``."""
    command, printed = [sys.executable, "-m", "specvid", *words], []
    environment = {**os.environ, "TMPDIR": scratch}
    start = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            for line in process.stdout or ():
                printed.append(line)
                if " loss " in line:
                    return time.perf_counter() - start
        finally:
            process.terminate()
    raise ValueError(f"`specvid {' '.join(words)}` printed no loss: {''.join(printed[-3:]).strip() or 'nothing'}")
