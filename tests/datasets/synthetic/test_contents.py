"""What `specvid data synthesize` says that it wrote is what is read from the folder."""

import re
from pathlib import Path

import pytest

from specvid import cli
from specvid.datasets.layouts.registry import read_action
from specvid.datasets.synthetic import SYNTHESIZERS

PEOPLE = {
    "mars": ("--identities 4 --tracklets 2", "4 tracklets of 2 identities to train on, 4 of 2 to test on and 18 of"),
    "tracklets": ("--identities 4 --tracklets 2", "4 tracklets of 2 identities to train on, 4 of 2 to test on, "),
    "ilids-vid": ("--identities 4", "8 tracklets of 4 identities, half of them to train on in each of ten splits, "),
    "prid2011": ("--identities 4", "8 tracklets of 4 identities, half of them to train on in each of ten splits, "),
}
ACTIONS = sorted(set(SYNTHESIZERS) - set(PEOPLE) - {"relation"})


def said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert cli.run(["data", "synthesize", *map(str, words)]) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("layout", ACTIONS)
def test_actions(layout: str, tmp_path: Path, capsys) -> None:
    words = [layout, tmp_path / "set", "--scenes", 1 if layout == "ucf101" else 4]
    text = said(capsys, *words)
    data = read_action(layout, tmp_path / "set" / "clips.csv" if layout == "table" else tmp_path / "set")
    numbers = re.search(r"set: ([\d,]+) clips to train on, (.*)16 frames of 40 x 40 px each; ", text)
    held = "4 to validate on, " if layout == "folders" else ""
    assert numbers and numbers.groups() == (str(len(data.train)), f"{held}{len(data.test)} to test on, ")
    assert "; train with --frames 8 --stride 2 (" in text and re.search(r"\(\d+ files\)$", text)
    assert said(capsys, *words) == text.replace(" files)", " files; they were there already, made alike)")


@pytest.mark.parametrize("layout", PEOPLE)
def test_people(layout: str, tmp_path: Path, capsys) -> None:
    options, contents = PEOPLE[layout]
    text = said(capsys, layout, tmp_path / "set", *options.split())
    assert f"set: {contents}" in text and "16 frames of 20 x 44 px each (" in text


def test_films(tmp_path: Path, capsys, recwarn: pytest.WarningsRecorder) -> None:
    """And the training that is named sees no film that is too short."""
    SYNTHESIZERS["folders"](tmp_path / "source", scenes=4)
    words = ["--from", tmp_path / "source", "--of", "folders", "--scenes", 4, "--size", 32, "--tile", 12]
    text = said(capsys, "relation", tmp_path / "films", *words)
    assert "films: 12 films to train on, 4 to test on, 16 frames of 32 x 32 px each; " in text
    clip = re.search(r"train with (--frames \d+ --stride \d+) ", text)
    assert clip
    train = "--dataset folders --model r3d_tiny --size 16 --resize 20 --epochs 1 --batch-size 4 --max-steps 1"
    rest = ["--data", tmp_path / "films", *train.split(), *clip[1].split(), "--device", "cpu", "--workers", 0]
    assert cli.run(["train", "action", *map(str, rest), "--runs", str(tmp_path / "runs"), "--name", "one"]) == 0
    captured = capsys.readouterr()
    assert "fewer than" not in captured.out + captured.err + (tmp_path / "runs/one/log.txt").read_text()
    assert not [one for one in recwarn if "fewer than" in str(one.message)]
