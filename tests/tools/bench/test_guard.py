"""`specvid bench all`: ratios beside recorded ones."""

import json
import math

import pytest

from specvid.cli import run
from specvid.tools.bench import guard
from specvid.tools.bench.guard import Compared, as_text, compare, read_recorded


def test_what_falls_by_more_than_a_tenth_is_marked() -> None:
    rows = compare({"a": 0.91, "b": 0.89, "new": 2.0}, {"a": 1.0, "b": 1.0, "gone": 3.0})
    assert [row.fell for row in rows] == [False, True, False, False]
    assert [row.recorded for row in rows[:3]] == [1.0, 1.0, None]
    assert rows[3].name == "gone" and math.isnan(rows[3].now)
    assert as_text(rows).splitlines() == [
        "larger is better   now  recorded",
        "a                 0.91      1.00",
        "b                 0.89      1.00  SLOWER",
        "new               2.00         -",
        "gone                 -      3.00",
    ]


def test_the_verb_compares_and_writes(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(guard, "measure", lambda *, quick, status: {"a": 1.0 if quick else 2.0})
    file = tmp_path / "ratios.json"
    assert run(["bench", "all", "--quick", "--out", str(file)]) == 0
    assert run(["bench", "all", "--out", str(file)]) == 0
    assert read_recorded(file, "quick") == {"a": 1.0} and read_recorded(file, "full") == {"a": 2.0}
    monkeypatch.setattr(guard, "measure", lambda *, quick, status: {"a": 0.5})
    assert run(["bench", "all", "--quick", "--against", str(file)]) == 1
    assert "SLOWER" in capsys.readouterr().out
    file.write_text("[]")
    assert run(["bench", "all", "--against", str(file)]) == 2
    assert "no file of recorded ratios" in capsys.readouterr().err


def test_the_recorded_ratios_are_there() -> None:
    content = json.loads(guard.RECORDED.read_text(encoding="utf-8"))
    assert "machine" in content["quick"]
    assert all(ratio > 0 for ratio in read_recorded(guard.RECORDED, "quick").values())


@pytest.mark.slow
def test_every_recorded_ratio_is_measured() -> None:
    rows: list[Compared] = compare(guard.measure(quick=True), read_recorded(guard.RECORDED, "quick"))
    assert all(row.recorded is not None and row.now > 0 for row in rows)
