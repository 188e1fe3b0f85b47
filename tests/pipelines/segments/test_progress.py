"""What a long film says while it runs: lines where nobody watches, a bar in a terminal, results untouched by both."""

import io
import re
from itertools import pairwise
from pathlib import Path

import pytest
from colour_films import COLOURS, colour_model, write_film
from rich.console import Console

from specvid import cli
from specvid.pipelines.engine import log
from specvid.pipelines.segments import progress as module
from specvid.pipelines.segments.progress import SegmentProgress


def test_a_line_at_least_every_half_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    lines: dict[float, str] = {}
    with SegmentProgress(lambda line: lines.update({now[0]: line})) as progress:
        for done in range(100, 3700, 100):  # 10 s each
            now[0] += 10
            progress("film.mp4", done, 3600)
    assert lines[130.0] == "film.mp4: 300 of 3,600 frames (8%)  10 frames/s  left 0:05:30"
    assert {later - earlier for earlier, later in pairwise(lines)} == {30.0} and len(lines) == 11


def test_a_bar_in_a_terminal_leaves_results_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """stderr is a terminal, stdout is not: the bar is on the one, all results are in the other."""
    terminal = io.StringIO()
    monkeypatch.setattr(log, "console", Console(file=terminal, force_terminal=True, width=120))
    colour_model().save_pretrained(tmp_path / "it", classes=tuple(COLOURS))
    film = write_film(tmp_path / "film.mp4", 60, [("Red", 20, 40)])
    words = ["predict", str(film), "--model", str(tmp_path / "it"), "--device", "cpu", "--workers", "0"]
    assert cli.run([*words, "--window", "sliding", "--length", "1s", "--every", "1s", "--merge"]) == 0
    lines, seen = capsys.readouterr().out.splitlines(), terminal.getvalue()
    assert [re.sub(r".*  (\w+) .*", r"\1", line) for line in lines] == ["nothing", "Red", "nothing"]
    assert re.search(r"film\.mp4: 60 of 60 frames \(100%\) +\d+ frames/s +left 0:00:00", seen)
    assert "60 frames (0:00:06.0) in" in seen and "Red" not in seen
