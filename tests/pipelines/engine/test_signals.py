"""A training that gets a signal as a whole, decoding processes included, saves itself and says how to go on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid import cli

WORDS = "--model r3d_tiny --frames 4 --stride 1 --size 16 --resize 20 --batch-size 6 --device cpu --no-tensorboard"


def wait_for(path: Path, process: subprocess.Popen, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.05)


@pytest.mark.skipif(os.name != "posix", reason="process groups")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_all_processes_saves_and_says_so(tmp_path: Path, number: int, code: int, capsys) -> None:
    data = synthesize_tiny_ucf101(tmp_path / "tiny")
    words = ["train", "action", "--data", str(data), "--runs", str(tmp_path), "--name", "a", *WORDS.split()]
    words += ["--epochs", "500", "--workers", "2"]
    (folder := tmp_path / "t").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "specvid", *words],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(tmp_path / "a/metrics.jsonl", process)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    sentence = err.splitlines()[-1]
    found = re.fullmatch(
        rf"specvid: stopped by {signal.Signals(number).name}: \S+/a/last holds (\d+) of 1500 steps \([\d.]+ epochs\); "
        "--resume auto continues.",
        sentence,
    )
    assert found, err
    assert "Traceback" not in err
    steps = int(found[1])
    assert json.loads((tmp_path / "a/last/meta.json").read_text())["steps"] == steps
    with pytest.raises(ProcessLookupError):  # nobody of the group is left
        os.killpg(process.pid, 0)
    assert not list(folder.glob("pymp-*"))  # a folder of sockets was left of each worker
    assert cli.run([*words, "--resume", "auto", "--max-steps", str(steps + 2)]) == 0
    assert f"continued from step {steps}" in capsys.readouterr().err
