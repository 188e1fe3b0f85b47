"""`specvid bench start`: what is waited for comes, and what never prints it is named."""

import pytest

from specvid.cli import run
from specvid.tools.bench import start


def test_a_command_without_a_loss_is_named() -> None:
    with pytest.raises(ValueError, match=r"`specvid --version` printed no loss: specvid \d"):
        start._first_loss(["--version"])


@pytest.mark.slow  # starts trainings
def test_all_that_starts_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "start", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = (start.TORCH, start.IMPORT, start.HELP, start.TRAINING, start.DEMO)
    assert [line.startswith(name) for line, name in zip(lines[-5:], names, strict=True)] == [True] * 5
    seconds = {name: float(line.removeprefix(name).split()[0]) for line, name in zip(lines[-5:], names, strict=True)}
    assert seconds[start.IMPORT] < 0.1 * seconds[start.TORCH]
    assert seconds[start.TORCH] < seconds[start.TRAINING] < seconds[start.DEMO]
