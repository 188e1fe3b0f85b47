"""Clips with lost frames, and with names that no encoding knows, in training and scoring from the command line."""

import csv
import os
import shutil
from pathlib import Path

import pytest
from synthetic_videos import blank_frames, write_numbered

from specvid import cli
from specvid.pipelines.engine.run import RunFolder

QUICK = "--frames 30 --stride 1 --size 16 --resize 20 --batch-size 4 --epochs 1 --workers 0 --device cpu"
BROKEN = b"caf\xe9 broken.avi"


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes; of 30 frames, one clip of each part lacks 2, and one is cut off after the header."""
    root = tmp_path_factory.mktemp("data")
    good = write_numbered(root, count=30)
    for part in ("train", "test"):
        for name in ("run", "walk"):
            folder = root / "clips" / part / name
            folder.mkdir(parents=True)
            for file in (b"10:30.avi", b"caf\xe9.avi", b"-two\nlines.avi"):
                shutil.copy(good, os.path.join(os.fsencode(folder), file))
        blank_frames(Path(shutil.copy(good, folder / "lost.avi")), [10, 11])
        Path(os.fsdecode(os.path.join(os.fsencode(folder), BROKEN))).write_bytes(good.read_bytes()[:5000])
    return root / "clips"


def train(clips: Path, runs: Path, *words: str) -> RunFolder:
    given = ["train", "action", "--data", str(clips), "--dataset", "folders", "--model", "r3d_tiny", *QUICK.split()]
    assert cli.run([*given, "--runs", str(runs), "--name", "it", "--no-tensorboard", *words]) == 0
    return RunFolder(runs / "it")


def rows(run: RunFolder) -> dict[str, dict[str, str]]:
    """What ``clips.csv`` says of each clip."""
    with (run.path / "eval/split1-last-1x1/clips.csv").open(encoding="utf-8", newline="") as file:
        return {row["clip"]: row for row in csv.DictReader(file)}


def test_the_share_that_must_decode_is_an_option(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of ``train`` and ``eval``: 2 of the 30 frames of a clip are lost, a share of 0.933 decodes."""
    run = train(clips, tmp_path)  # 0.9
    (line,) = run.lines()
    broken, lost = "walk/caf\\xe9 broken.avi: holds no frame", "walk/lost.avi: 2 of 30 wanted frames cannot be decoded"
    assert line["unreadable"] == 1 and broken in line["unreadable_files"][0]
    assert line["repeated"] == 1 and lost in line["repeated_files"][0] and "nearest ones stand in" in str(line)
    assert broken in (run.path / "log.txt").read_text(encoding="utf-8")
    assert "Logging error" not in capsys.readouterr().err
    found = rows(run)["test/walk/lost.avi"]
    assert not found["error"] and "2 of 30 wanted frames cannot be decoded" in found["warning"]
    assert broken in rows(run)["test/walk/caf\\udce9 broken.avi"]["error"]

    words = ["eval", "action", "--run", str(run.path), "--clips", "1", "--device", "cpu", "--workers", "0"]
    for share, fails in (("1", True), ("0.94", True), ("0.93", False), ("0", False)):
        assert cli.run([*words, "--min-readable", share]) == 0
        found = rows(run)["test/walk/lost.avi"]
        assert ("is damaged: 2 of 30 wanted frames" in found["error"]) == fails
        assert ("the nearest ones stand in" in found["warning"]) != fails
        assert f"{6 if fails else 7} of 8 clips scored" in capsys.readouterr().out


def test_training_takes_no_frame_for_another(clips: Path, tmp_path: Path) -> None:
    run = train(clips, tmp_path, "--min-readable", "1")
    (line,) = run.lines()
    assert line["repeated"] == 0 and "is damaged: 2 of 30 wanted frames" in str(line["unreadable_files"])
    assert "is damaged: 2 of 30 wanted frames" in rows(run)["test/walk/lost.avi"]["error"]  # the run's own share
