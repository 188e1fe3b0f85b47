"""What a user gets wrong is said in a line by every study, before anything is computed."""

import re
import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path
from types import ModuleType

import pytest

from specvid.tools.study import frozen_actions, frozen_blocks, relation
from specvid.tools.study.command_line import by_name, require_batch

STUDIES = {
    frozen_actions: ("blcks snl", "recipe 'blcks' is unknown. Did you mean 'blocks'"),
    frozen_blocks: ("snll x10", "'snll' is unknown. Did you mean 'snl'"),
    relation: ("snll", "'snll' is unknown. Did you mean 'snl'"),
}
PAGE = Path(__file__).parents[3] / "docs/results.md"
WRONG = {
    "--seeds 0": "seeds 0 must be at least 1.",
    "--epochs 0": "epochs 0 must be at least 1.",
    "--epochs -3": "epochs -3 must be at least 1.",
    "--lr nan": "lr nan must be a finite number greater than 0.",
    "--out folder": "--out 'folder' is a folder: give the name of a file in it.",
    "--out folder/rows.txt": "Give a name that ends with .csv.",
    "--out file.csv/rows.csv": "cannot be written",
    "--out kept.csv": "--out 'kept.csv' has its maps beside it: 'kept.safetensors' is a folder",
    "--data elsewhere": "elsewhere",
    "--data=": "--data '' is an empty text",
    "--weights=": "--weights '' is an empty text",
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("kept.safetensors").mkdir()
    Path("file.csv").touch()


def _run(study: ModuleType, *words: str) -> int:
    return study.main(["--data", "nowhere", "--weights", "none", "--out", "rows.csv", *words])


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize(("words", "sentence"), WRONG.items())
def test_wrong_words_are_said_in_a_line(study: ModuleType, words: str, sentence: str, capsys) -> None:
    assert _run(study, *words.split()) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not Path("rows.csv").exists()


@pytest.mark.parametrize(("study", "arm", "sentence"), [(study, *what) for study, what in STUDIES.items()])
def test_an_unknown_arm_is_refused_at_once(study: ModuleType, arm: str, sentence: str, capsys) -> None:
    assert _run(study, "--arms", arm) == 2  # before it looks for the data
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("study", "arms"),
    [
        (frozen_actions, ["blocks snl", "blocks snl x1"]),
        (frozen_blocks, ["bare", "snl x10", "snl  x10.0"]),
        (relation, ["snl", "snl"]),
    ],
)
def test_two_names_of_one_row_are_refused(study: ModuleType, arms: list[str], capsys) -> None:
    assert _run(study, "--arms", *arms) == 2
    assert f"--arms has {arms[-2]!r} and {arms[-1]!r}, which are one row" in capsys.readouterr().err
    assert by_name(["a", "b"], str, str) == {"a": "a", "b": "b"}


def test_no_more_frames_than_are_kept(capsys) -> None:
    assert _run(frozen_blocks, "--frames", "9") == 2
    assert "--frames 9: maps of 8 frames of each tracklet are kept" in capsys.readouterr().err


@pytest.mark.parametrize(("study", "option"), [(frozen_blocks, "frames"), (frozen_actions, "stride")])
def test_own_numbers_are_checked(study: ModuleType, option: str, capsys) -> None:
    assert _run(study, f"--{option}", "0") == 2
    assert f"{option} 0 must be at least 1." in capsys.readouterr().err


def test_a_set_smaller_than_a_batch_is_refused() -> None:
    require_batch(16, 16)
    with pytest.raises(ValueError, match=re.escape("--data has 15 clips to train on, less than a batch of 16")):
        require_batch(15, 16)


def test_the_commands_on_the_page_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Namespace] = []
    for study in STUDIES:
        monkeypatch.setattr(study, "run", lambda parser, _, words: _keep(parser, words, seen))
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"^    python -m specvid\.tools\.study\.(\w+) (.*)$", text, re.M)
    for name, words in commands:
        study = next(study for study in STUDIES if study.__name__.endswith(f".{name}"))
        assert study.main(shlex.split(words)) == 0
    assert len({options.out for options in seen}) == len(seen) == len(commands) >= 6
    for options, (name, _) in zip(seen, commands, strict=True):
        if name == "frozen_actions":
            cut = frozen_actions.CUT.behind(options.last_frozen)
            assert [frozen_actions.Arm.of(arm, cut).name for arm in options.arms or ()] == (options.arms or [])
        elif name == "frozen_blocks":
            cut = frozen_blocks.CUTS[options.model].behind(options.last_frozen)
            assert [frozen_blocks.RatedBlocks.of(arm, cut).name for arm in options.arms or ()] == (options.arms or [])


def _keep(parser: ArgumentParser, words: list[str], seen: list[Namespace]) -> int:
    seen.append(parser.parse_args(words))
    return 0
