"""SIGTERM and SIGINT in the verbs that train nothing: one sentence, the usual exit code, nothing torn or left over."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checksums import sha256
from synthetic_videos import write_numbered

from specvid import cli
from specvid.models import create_model


def start(words: list[str], until: Path) -> subprocess.Popen:
    """A command, as soon as it has written something where ``until`` says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "specvid", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 180
    while not (until.exists() and (until.is_file() or any(until.iterdir()))):
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.02)
    return process


@pytest.mark.skipif(os.name != "posix", reason="process groups")
@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, "2"), (signal.SIGINT, "0")])
def test_an_embedding(number: int, workers: str, tmp_path: Path) -> None:
    """A signal to all its processes, as Slurm sends it; then the same command ends with the same bytes."""
    source = write_numbered(tmp_path, count=40)
    (tmp_path / "in").mkdir()
    for copy in range(16):
        shutil.copy(source, tmp_path / f"in/{copy:02}.avi")
    create_model("r3d_tiny", input={"frames": 4, "size": 16}).save_pretrained(tmp_path / "m")
    words = ["embed", str(tmp_path / "in"), "--model", str(tmp_path / "m"), "--device", "cpu", "--shard-size", "2"]
    words += ["--window", "sliding", "--every", "2", "--out"]
    process = start([*words, str(tmp_path / "out"), "--workers", workers], tmp_path / "out/embeddings")
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    name = signal.Signals(number).name
    message = f"specvid: stopped by {name}: complete shards are saved; the same command does only what is missing."
    assert err.splitlines()[-1] == message
    assert "Traceback" not in err
    with pytest.raises(ProcessLookupError):  # nobody of the group is left
        os.killpg(process.pid, 0)
    assert 0 < len(list((tmp_path / "out/embeddings").iterdir())) < 8
    for out in ("out", "whole"):
        assert cli.run([*words, str(tmp_path / out), "--workers", "0"]) == 0
    for path in (tmp_path / "whole").rglob("*.parquet"):
        assert sha256(path) == sha256(tmp_path / "out" / path.relative_to(tmp_path / "whole")), path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_any_verb(number: int, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """A signal in the middle of its work; a second one would end the process as ever."""
    before = [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)]
    verb = cli.Verb("report", "", object, lambda options: os.kill(os.getpid(), number) or 0)
    monkeypatch.setattr(cli.Verb, "__call__", lambda self, words: self.run(words))
    monkeypatch.setattr(cli, "find", lambda words: (verb, []))
    assert cli.run(["report", "x"]) == 128 + number
    message = capsys.readouterr().err.strip()
    assert re.fullmatch(rf"specvid: stopped by {signal.Signals(number).name}: the same command starts again\.", message)
    assert [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)] == before


class Ignoring:
    """Python ignores what is raised while it is thrown away."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)


def ignored() -> None:
    Ignoring()
    time.sleep(30)


class Failing:
    """A library that is left half done by the signal, and fails where Python ignores that, too."""

    def __del__(self) -> None:
        raise IndexError("pop from empty list")


def ignored_with_consequences() -> None:
    Ignoring()
    Failing()
    time.sleep(30)


def replaced() -> None:
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    except BaseException:
        raise ValueError("a library's own error") from None


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("work", [ignored, ignored_with_consequences, replaced])
def test_where_the_exception_gets_lost(work, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    heard: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    before = sys.unraisablehook, signal.getsignal(signal.SIGALRM)
    verb = cli.Verb("report", "", object, lambda options: work() or 0)
    monkeypatch.setattr(cli.Verb, "__call__", lambda self, words: self.run(words))
    monkeypatch.setattr(cli, "find", lambda words: (verb, []))
    begun = time.monotonic()
    assert cli.run(["report", "x"]) == 143
    assert time.monotonic() - begun < 10
    assert capsys.readouterr().err.strip() == "specvid: stopped by SIGTERM: the same command starts again."
    assert not heard
    assert (sys.unraisablehook, signal.getsignal(signal.SIGALRM)) == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 0)])
def test_a_process_that_was_just_forked_has_no_part_in_it(number: int, status: int) -> None:
    """It has the handlers of the main process until it sets its own."""
    from specvid.pipelines.engine.signals import interrupting

    with interrupting("nothing"):
        child = os.fork()
        if not child:
            try:
                os.kill(os.getpid(), number)
                os._exit(0)
            except BaseException:
                os._exit(99)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status
