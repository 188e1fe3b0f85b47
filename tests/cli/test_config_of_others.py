"""Settings that somebody else wrote: what they may decide of a training, and what is beyond all sense."""

import json
from pathlib import Path

import pytest

from specvid import cli
from specvid.cli import find
from specvid.config import to_dict
from specvid.errors import SpecvidWarning
from specvid.pipelines.action.config import ActionConfig, ActionEvaluationConfig


def _write(folder: Path, **changes: object) -> str:
    content = to_dict(ActionConfig())
    for key, value in changes.items():
        first, _, second = key.partition("__")
        (content[first] if second else content)[second or first] = value
    (folder / "config.json").write_text(json.dumps(content))
    return str(folder / "config.json")


def _parse(*words: str) -> ActionConfig:
    verb, rest = find(["train", "action", *words])
    return verb.parse(rest)


def test_where_is_written_is_said_by_the_command(tmp_path: Path) -> None:
    path = _write(tmp_path, runs="/elsewhere", train__nodes=3)
    with pytest.warns(SpecvidWarning, match="runs '/elsewhere', which is not taken: 'runs' is"):
        config = _parse("--config", path)
    assert (config.runs, config.train.nodes) == ("runs", 1)
    assert _parse("--config", path, "--runs", "mine", "--nodes", "2").runs == "mine"


def test_a_run_is_continued_where_its_config_lies(tmp_path: Path) -> None:
    (tmp_path / "kept/one").mkdir(parents=True)
    path = _write(tmp_path / "kept/one", runs="/elsewhere", name="one")
    with pytest.warns(SpecvidWarning, match="is not taken"):
        config = _parse("--config", path, "--resume", "auto")
    assert (config.runs, config.name) == (str(tmp_path / "kept"), "one")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("train__epochs", 10**30), ("train__workers", 100_000), ("train__devices", 5000), ("test_clips", 10**11)),
        *(("train__batch_size", 10**20), ("mixup", 1e-320), ("mixup", float("inf"))),
    ],
)
def test_numbers_beyond_all_sense_are_named(key: str, value: float, tmp_path: Path, capsys) -> None:
    assert cli.run(["train", "action", "--config", _write(tmp_path, **{key: value})]) == 2
    said = capsys.readouterr().err
    assert key.partition("__")[2] or key in said
    assert "must be" in said and len(said.splitlines()) == 1


def test_clips_are_bounded() -> None:
    with pytest.raises(ValueError, match="clips 99999999999 must be at most 10,000"):
        ActionEvaluationConfig(clips=99999999999)
    with pytest.raises(ValueError, match="clips 99999999999 must be at most 10,000"):
        find(["predict"])[0].parse(["a.mp4", "--run", "runs/x", "--clips", "99999999999"])
