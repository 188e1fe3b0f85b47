"""``--help`` of the programs below ``tools``: an example that it shows stands on a line of its own."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "tools"
PARSES = re.compile(r"ArgumentParser\(prog|Program\(\"|study_parser\($|return command_line\(", re.MULTILINE)
PROGRAMS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in ROOT.rglob("*.py")
    if PARSES.search(text := path.read_text(encoding="utf-8")) and "__main__" in text
)


def help_of(name: str, *verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        importlib.import_module(f"specvid.tools.{name}").main([*verb, "--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_the_programs_are_found() -> None:
    assert {"data.tracks", "data.sweep", "study.compare", "study.relation", "weights.convert"} <= set(PROGRAMS)


@pytest.mark.parametrize(
    ("name", "verb"), [*((name, ()) for name in PROGRAMS), ("data.tracks", ("cut",)), ("data.tracks", ("name",))]
)
def test_examples_keep_their_lines(name: str, verb: tuple[str, ...], capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = help_of(name, *verb, capsys=capsys)
    assert max(map(len, text.splitlines())) <= 110 or "faults" in name or name == "data.sweep"
    body = text.split("\n\n", 1)[1]  # behind the usage
    for line in body.splitlines():
        assert "python -m" not in line or line.startswith("    python -m"), line
    assert "``" not in text


def test_tracks_says_what_it_takes(capsys) -> None:
    text = " ".join(help_of("data.tracks", "cut", capsys=capsys).split())
    assert "frame (from 1), track, left, top, width, height" in text
    assert "only every n-th box of a track" in text
    assert "`mot`" not in help_of("data.tracks", capsys=capsys)
