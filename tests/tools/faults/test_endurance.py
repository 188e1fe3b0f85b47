"""The tool that looks for what grows: it finds a leak of each kind, and nothing where nothing grows."""

import mmap
import os
import subprocess
import sys
import threading

import pytest

from specvid.tools.faults.endurance import Sample, Trial, as_table, main, repeat

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def _fresh_memory() -> mmap.mmap:
    """A mebibyte from the system: a bytearray may be one that the process has freed before."""
    memory = mmap.mmap(-1, 2**20)
    memory.write(b"x" * 2**20)
    return memory


def test_what_grows_is_named() -> None:
    held: list[object] = []
    end = threading.Event()

    def thread(number: int) -> None:
        held.append(threading.Thread(target=end.wait, daemon=True))
        held[-1].start()  # type: ignore[attr-defined]

    leaks = {
        "memory by": lambda number: held.append(_fresh_memory()),
        "files from": lambda number: held.append(open(os.devnull)),  # noqa: SIM115
        "threads from": thread,
        "processes from": lambda number: held.append(subprocess.Popen(["sleep", "60"])) if number % 4 == 0 else None,
    }
    for what, leak in leaks.items():
        trial = repeat("leak", leak, 40)
        assert any(text.startswith(what) for text in trial.growing), (what, trial)
    end.set()
    for process in held:
        if isinstance(process, subprocess.Popen):
            process.kill()
            process.wait()


def test_what_is_given_back_does_not_grow() -> None:
    def step(number: int) -> None:
        with open(os.devnull) as _:
            assert bytearray(2**20)

    trial = repeat("nothing", step, 400)
    assert trial.growing == [] and trial.samples[-1].times == 400
    assert "| nothing | 400" in as_table([trial])


def test_warming_up_is_no_growth() -> None:
    sizes = [100.0 + 10 * min(number, 10) for number in range(1, 41)]
    samples = [Sample(number, size, 5, 1, 0) for number, size in enumerate(sizes, start=1)]
    assert Trial("warm", samples, 1.0).rise == pytest.approx(0, abs=1e-9)
    steady = [Sample(n, 100.0 + n, 5, 1, 0) for n in range(1, 41)]
    assert Trial("steady", steady, 1.0).growing == ["memory by 30.0 MiB"]


def test_the_command(capsys) -> None:
    code = main(["decode", "search", "--decodes", "24", "--searches", "8"])
    rows = [line.split("|")[1:3] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [[cell.strip() for cell in row] for row in rows] == [["clips read", "24"], ["searches", "8"]]
    assert code in (0, 1)  # so short, memory tells nothing yet
