"""Verbs that are killed and started again, and that the tool which looks for faults finds some."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from specvid.tools.faults.outputs import contents, torn_lines

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and looks into /proc")


def kill(*words: str, **environment: str) -> str:
    command = [sys.executable, "-W", "ignore", "-m", "specvid.tools.faults.kills", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout


def test_before_each_change_of_their_folders() -> None:
    table = kill("report", "data prepare", "search build", "--changes", "--kills", "5", "--signals", "KILL", "TERM")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [row[0] for row in rows] == ["report"] * 2 + ["data prepare"] * 2 + ["search build"] * 2
    assert all(int(row[2]) >= 3 and int(row[3]) >= 1 and row[5] == "0" for row in rows), table


@pytest.mark.slow
@pytest.mark.parametrize(
    "verb",
    [
        *("train action", "train reid", "train pretrain", "embed", "embed --append", "embed delete", "export"),
        *("eval action", "eval reid"),
    ],
)
def test_at_random_moments(verb: str) -> None:
    kill(verb, "--kills", "5")


@pytest.mark.slow
def test_while_other_processes_encode() -> None:
    kill("data shrink", "--kills", "3")


def test_what_it_compares_and_what_it_calls_torn(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "results.json").write_text('{"top1": 1, "training": {"seconds": 3.5}}')
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 0}\n{"epo')
    (tmp_path / "log.txt").write_text("2026-01-01 10:00:00,123 INFO run\nINFO torn\n")
    own = contents(tmp_path)
    assert own[".hidden"] is None and own["results.json"] == [{"top1": 1, "training": {}}]
    assert own["metrics.jsonl"] == b'{"epoch": 0}\n{"epo'
    assert torn_lines(tmp_path) == ["metrics.jsonl: its last line is torn", "log.txt: 'INFO torn' is torn"]
