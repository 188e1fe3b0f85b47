"""`specvid bench start`: what is waited for comes, and what never prints it is named."""

import time

import pytest

from specvid.cli import run
from specvid.tools.bench import start


def test_a_command_without_a_loss_is_named(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"`specvid --version` printed no loss: specvid \d"):
        start._first_loss(["--version"], str(tmp_path))


def test_the_end_of_a_command_is_not_waited_for(tmp_path, monkeypatch) -> None:
    """Ending a training takes seconds: its state is written."""
    script = tmp_path / "slow"
    script.write_text("#!/bin/sh\ntrap 'sleep 1; exit' TERM\necho 'epoch 1  loss 0.5'\nwhile :; do sleep 0.05; done\n")
    script.chmod(0o755)
    monkeypatch.setattr(start.sys, "executable", str(script))
    begin = time.perf_counter()
    seconds = start._first_loss([], str(tmp_path))
    assert time.perf_counter() - begin - seconds > 0.9


@pytest.mark.slow  # starts trainings
def test_all_that_starts_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "start", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = (start.PYTHON, start.TORCH, start.IMPORT, start.HELP, start.TRAINING, start.DEMO)
    assert [line.startswith(name) for line, name in zip(lines[-6:], names, strict=True)] == [True] * 6
    seconds = {name: float(line.removeprefix(name).split()[0]) for line, name in zip(lines[-6:], names, strict=True)}
    assert seconds[start.PYTHON] < seconds[start.TORCH]
    assert seconds[start.IMPORT] - seconds[start.PYTHON] < 0.1 * seconds[start.TORCH]
    assert seconds[start.TORCH] < seconds[start.TRAINING] < seconds[start.DEMO]


def test_in_a_hurry_the_demo_starts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def first_loss(words: list[str], scratch: str) -> float:
        started.append(words[0])
        return {"train": 6.0, "demo": 30.0}[words[0]]

    monkeypatch.setattr(start, "_first_loss", first_loss)
    monkeypatch.setattr(start, "_run", lambda words: 3.0 if words[-1] == "import torch" else 1.0)
    rows = {row.name: row for row in start.bench_start(rounds=2, quick=True)}
    assert (started.count("train"), started.count("demo")) == (3, 1)
    assert (rows[start.DEMO].seconds, rows[start.DEMO].to_torch) == (30, 10)
    assert (rows[start.TRAINING].seconds, rows[start.TRAINING].to_torch) == (6, 2)
