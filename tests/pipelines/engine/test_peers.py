"""Processes of one job that Fabric starts: where one dies, all end within a minute, in words."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid.errors import LostProcessError
from specvid.pipelines.engine import peers
from specvid.pipelines.engine.config import DistributedConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.run import RunFolder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

WATCHER = """
import os, subprocess, sys, time
from specvid.pipelines.engine import peers
peers.GRACE = 0.5
{}
time.sleep(100)
"""
CHILDREN = WATCHER.format(
    "children = [subprocess.Popen([sys.executable, '-c', code]) for code in ('import time; time.sleep(100)', {!r})]\n"
    "print(children[0].pid, flush=True)\n"
    "peers.watch_children(children)"
)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until_gone(*processes: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while any(map(is_alive, processes)):
        assert time.monotonic() < until, [process for process in processes if is_alive(process)]
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("death", "words"),
    [
        ("raise SystemExit(3)", "process 2 of this job ended with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "process 2 of this job was ended by SIGKILL"),
    ],
)
def test_the_main_process_ends_all_when_one_dies(death: str, words: str) -> None:
    done = subprocess.run([sys.executable, "-c", CHILDREN.format(death)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == f"\nspecvid: {words}; all others are stopped. --resume auto continues a training.\n"
    wait_until_gone(int(done.stdout), seconds=5)


def test_the_process_that_was_killed_is_named_not_those_that_failed_for_want_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = ("raise SystemExit(1)", "import os; os.kill(os.getpid(), 9)")
    children = [subprocess.Popen([sys.executable, "-c", end]) for end in ends]
    for child in children:
        child.wait()
    monkeypatch.setattr(peers, "_children", children)
    killed = r"^process 2 of this job was ended by SIGKILL, so this one cannot go on"
    with pytest.raises(LostProcessError, match=killed), peers.naming_lost_processes(lambda: "nothing was saved yet."):
        raise RuntimeError("Connection closed by peer")


def test_all_that_end_well_end_nothing() -> None:
    code = WATCHER.format(
        "peers.watch_children([subprocess.Popen([sys.executable, '-c', ''])])\ntime.sleep(2)\nos._exit(7)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 7


def test_a_process_ends_when_the_main_one_is_gone() -> None:
    child = WATCHER.format("peers._start(peers._watch_parent, os.getppid())\nprint(os.getpid(), flush=True)")
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(100)"
    main = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert main.stdout is not None and main.stderr is not None
    own = int(main.stdout.readline())
    main.kill()
    wait_until_gone(own, seconds=20)
    assert main.stderr.read() == "\nspecvid: the main process of this job ended, so this one does too.\n"


def ranks(main: int) -> Iterator[int]:
    """The processes that the main one of a job started, in the order of ranks from 1."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = dict(pair.partition("=")[::2] for pair in Path(f"/proc/{entry}/environ").read_text().split("\0"))
            parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == main:
            found[int(words.get("LOCAL_RANK", 0))] = int(entry)
    return iter([found[rank] for rank in sorted(found) if rank])


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "dead"), [(2, 1), (2, 0), (4, 2), (4, 0)])
def test_a_training_on_several_devices(tmp_path: Path, devices: int, dead: int) -> None:
    """``--devices N``, of which one is killed in the middle of an epoch, and the next start goes on."""
    data = synthesize_tiny_ucf101(tmp_path / "tiny")
    words = "--model r3d_tiny --frames 4 --stride 1 --size 16 --resize 20 --batch-size 8 --device cpu --no-tensorboard"
    command = [sys.executable, "-m", "specvid", "train", "action", "--data", str(data), "--runs", str(tmp_path)]
    command += ["--name", "a", "--resume", "auto", "--workers", "1", "--devices", str(devices), *words.split()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (tmp_path / "err.txt").open("w") as errors:
        main = subprocess.Popen(
            [*command, "--epochs", "5000", "--schedule", "constant"], env=environment, stderr=errors
        )
        until = time.monotonic() + 240
        while len(RunFolder(tmp_path / "a").lines()) < 2:  # then last/ is written
            assert main.poll() is None and time.monotonic() < until, (tmp_path / "err.txt").read_text()
            time.sleep(0.1)
        others = list(ranks(main.pid))
        assert len(others) == devices - 1
        os.kill([main.pid, *others][dead], signal.SIGKILL)
        begun = time.monotonic()
        code = main.wait(60)
        wait_until_gone(*others, seconds=60 - (time.monotonic() - begun))
    text = (tmp_path / "err.txt").read_text()
    assert code == (1 if dead else -signal.SIGKILL), text
    how = f"process {dead} of this job was ended by SIGKILL" if dead else "another process of this job ended"
    assert f"specvid: {how}, so this one cannot go on: " in text
    assert "--resume auto continues." in text and "Traceback" not in text, text
    steps = int(text.rpartition("/last holds ")[2].split()[0])
    again = [*command, "--epochs", "5000", "--schedule", "constant", "--max-steps", str(steps + 2)]
    done = subprocess.run(again, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert f"continued from step {steps} " in done.stderr


def test_a_process_that_ends_while_others_connect_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at the start of a training over two devices: the other process ended in a traceback of PyTorch's."""

    def launch(self: Fabric) -> None:
        raise torch.distributed.DistNetworkError("sendBytes failed: Broken pipe")

    monkeypatch.setattr(Fabric, "launch", launch)
    with pytest.raises(LostProcessError, match=r"another process of this job ended, so .*: the same command starts"):
        make_fabric(DistributedConfig(device="cpu", devices=2))
