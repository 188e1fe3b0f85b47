"""A folder that is replaced is the old one or the new one, wherever the process is killed."""

import json
import os
import shutil
from pathlib import Path

import pytest

from specvid import files as checkpoint
from specvid.files import replace_folder, settle, whole, write_json
from specvid.pipelines.engine.run import RunFolder


class Killed(BaseException):
    """In place of a SIGKILL: nothing catches it."""


def write(version: int):
    def into(folder: Path) -> None:
        for name in ("a", "b"):
            (folder / name).write_text(str(version))

    return into


def content(folder: Path) -> str | None:
    """The version of a complete folder; fails on a mixture."""
    found = whole(folder)
    if not found.exists():
        return None
    assert {path.name for path in found.iterdir()} == {"a", "b"}
    a, b = ((found / name).read_text() for name in ("a", "b"))
    assert a == b
    return a


@pytest.fixture
def kill_at(monkeypatch):
    """Makes the n-th change on disk the last one, done (``after``) or not."""

    def arm(n: int, *, after: bool) -> None:
        count = 0

        def wrap(function):
            def counted(*arguments, **named):
                nonlocal count
                count += 1
                if count == n and not after:
                    raise Killed
                result = function(*arguments, **named)
                if count == n:
                    raise Killed
                return result

            return counted

        monkeypatch.setattr(checkpoint.os, "replace", wrap(os.replace))
        monkeypatch.setattr(checkpoint.shutil, "rmtree", wrap(shutil.rmtree))
        monkeypatch.setattr(Path, "mkdir", wrap(Path.mkdir))
        monkeypatch.setattr(Path, "write_text", wrap(Path.write_text))

    return arm


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("n", range(1, 14))
def test_killed_at_any_change_it_is_whole(tmp_path: Path, monkeypatch, kill_at, n: int, after: bool) -> None:
    folder = tmp_path / "last"
    replace_folder(folder, write(1))
    kill_at(n, after=after)
    try:
        replace_folder(folder, write(2))
        finished = True
    except Killed:
        finished = False
    monkeypatch.undo()
    seen = content(folder)
    assert seen in ("1", "2")
    if finished:
        assert seen == "2"
    settle(folder)
    assert content(folder) in (seen, "2")  # never back to the old one
    assert folder.exists()
    replace_folder(folder, write(3))
    assert content(folder) == "3"
    assert {path.name for path in tmp_path.iterdir()} == {"last"}


def test_there_are_kills_before_and_after_the_turning_point(tmp_path: Path, monkeypatch, kill_at) -> None:
    """The range above covers the whole replacement: early kills leave the old version, late ones the new one."""
    seen = set()
    for n in range(1, 14):
        folder = tmp_path / str(n) / "last"
        replace_folder(folder, write(1))
        kill_at(n, after=True)
        try:
            replace_folder(folder, write(2))
        except Killed:
            monkeypatch.undo()
            seen.add(content(folder))
        monkeypatch.undo()
    assert seen == {"1", "2"}


def test_json_is_replaced_whole(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "results.json"
    write_json(path, {"a": 1})
    monkeypatch.setattr(checkpoint.os, "replace", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})


def test_a_line_cut_off_by_a_kill_is_forgotten(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for epoch in range(3):
        run.append({"epoch": epoch})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "lo')
    assert [line["epoch"] for line in run.lines()] == [0, 1, 2]
    run.forget_epochs_from(2)
    run.append({"epoch": 2})
    assert [line["epoch"] for line in run.lines()] == [0, 1, 2]


def test_folders_that_are_no_runs_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is no folder of a run: it has no config.json"):
        RunFolder(tmp_path).config()
    with pytest.raises(ValueError, match=r"has no checkpoint 'best'. It has: none yet"):
        RunFolder(tmp_path).checkpoint("best")
