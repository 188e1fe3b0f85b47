"""Command lines as processes of their own: their lines, their ends, and a signal that reaches each once."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from specvid.pipelines.engine import jobs
from specvid.pipelines.engine.jobs import run_commands
from specvid.pipelines.engine.signals import Interrupted

SAVES_ITSELF = "#!/bin/sh\ntrap 'echo saved; exit 143' TERM\necho begun\nwhile :; do sleep 0.1; done\n"


def test_lines_come_with_their_names_and_ends_with_their_last_line(tmp_path: Path) -> None:
    lines: list[tuple[str, str]] = []
    commands = {"good": ["--version"], "wrong": ["models", "shw"]}
    ended = dict(
        run_commands(commands, logs=tmp_path, stopped="", on_line=lambda name, line: lines.append((name, line)))
    )
    assert ended["good"] == "" and ended["wrong"].startswith("specvid: ")
    assert ("good", (tmp_path / "good.txt").read_text().strip()) in lines
    assert (tmp_path / "wrong.txt").read_text().strip() == ended["wrong"]


def test_what_ended_is_said_before_the_next_one_starts(tmp_path: Path) -> None:
    said: list[str] = []
    commands = {name: ["--version"] for name in "abc"}
    for name, _ in run_commands(commands, logs=tmp_path, stopped="", jobs=1, on_start=said.append):
        said.append(f"end of {name}")
    assert said == ["a", "end of a", "b", "end of b", "c", "end of c"]


def test_nothing_to_do_leaves_nothing(tmp_path: Path) -> None:
    assert list(run_commands({}, logs=tmp_path / "logs", stopped="")) == []
    assert not (tmp_path / "logs").exists()


def test_each_gets_its_share_of_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setattr(jobs, "usable_cores", lambda: 8)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text("#!/bin/sh\necho ${OMP_NUM_THREADS-all},${MKL_NUM_THREADS-all}\n")
    (tmp_path / "python").chmod(0o755)
    threads: list[str] = []
    for commands in ({"a": []}, {"a": [], "b": [], "c": []}):
        list(run_commands(commands, logs=tmp_path, stopped="", on_line=lambda _, line: threads.append(line)))
    assert threads == ["8,8", "2,2", "2,2", "2,2"]
    for variable, wanted in (("OMP_NUM_THREADS", "1,all"), ("MKL_NUM_THREADS", "all,1")):
        with monkeypatch.context() as env:
            env.setenv(variable, "1")
            list(run_commands({"a": []}, logs=tmp_path, stopped="", on_line=lambda _, line: threads.append(line)))
        assert threads.pop() == wanted  # what the user says is not undone by the other variable


def test_a_signal_ends_all_and_says_what_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text(
        "#!/bin/sh\ntrap 'echo saved; exit 143' TERM\necho begun\nwhile :; do sleep 0.1; done\n"
    )
    (tmp_path / "python").chmod(0o755)
    begun = threading.Event()

    def interrupt() -> None:
        begun.wait(30)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted, match="it stands"):
        list(run_commands({"a": [], "b": []}, logs=tmp_path, stopped="it stands", on_line=lambda *_: begun.set()))
    assert (tmp_path / "a.txt").read_text().split() == ["begun", "saved"]
