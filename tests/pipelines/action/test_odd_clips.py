"""Clips with lost frames, and with names that no encoding knows, in training and scoring from the command line."""

import csv
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from synthetic_videos import blank_frames, lose_frames, numbered_frame, write_numbered, write_video

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


@pytest.fixture(scope="module")
def unusual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of clips that are read, though not as they announce, and of one that is the address of a camera."""
    root = tmp_path_factory.mktemp("unusual")
    good = write_numbered(root, count=30)
    lose_frames(Path(shutil.copy(good, root / "dropped.avi")), [10, 11])
    (root / "sizes.ts").write_bytes(
        b"".join(
            write_video(
                root / f"{size}.ts", [numbered_frame(number)[:size] for number in range(15)], "mpeg2video"
            ).read_bytes()
            for size in (64, 48)
        )
    )
    (root / "gap").mkdir()
    for number in (1, 2, 5, 6, 7):
        Image.fromarray(numbered_frame(number)).save(root / "gap" / f"img_{number:05d}.jpg")
    table = root / "clips.csv"
    files = ["dropped.avi", "sizes.ts", "gap", "plain.avi"]
    rows = [f"{file},{label},{part}" for part in ("train",) for file, label in zip(files, "abab", strict=True)]
    for file, label in zip(files, "abab", strict=True):
        copy = shutil.copytree if (root / file).is_dir() else shutil.copy
        copy(root / file, root / f"test_{file}")
        rows.append(f"test_{file},{label},test")
    table.write_text("\n".join(["path,label,set", *rows, "rtsp://10.0.0.7/live,a,train"]) + "\n")
    return table


UNUSUAL = {
    "dropped.avi": "its header announces 30 frames, 28 decode",
    "sizes.ts": "the size of 15 of its frames differs: brought to 96 x 64 px",
    "gap": "the numbers of its images have 1 gap, 2 are missing: img_00002.jpg is followed by img_00005.jpg",
}


def test_what_is_not_as_announced_is_said_by_every_verb(
    unusual: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["train", "action", "--data", str(unusual), "--dataset", "table", "--model", "r3d_tiny", *QUICK.split()]
    assert cli.run([*given, "--runs", str(tmp_path), "--name", "it", "--no-tensorboard", "--epochs", "2"]) == 0
    printed = " ".join(capsys.readouterr().err.split())
    run = RunFolder(tmp_path / "it")
    assert "1 of 5 train clips are none, e.g. rtsp://10.0.0.7/live is the address of a stream" in printed
    assert "missing, e.g." not in printed and "not as headers or lists announce" in printed
    files = {name for line in run.lines() for name in line["unusual_files"]}
    for name, words in UNUSUAL.items():
        assert f"{unusual.parent / name}: {words}" in files
        assert f"{unusual.parent / name}: {words}" in " ".join((run.path / "log.txt").read_text().split())
    assert len(files) == 3
    words = ["--device", "cpu", "--workers", "0"]
    assert cli.run(["eval", "action", "--run", str(run.path), "--clips", "1", *words]) == 0
    printed = capsys.readouterr().out
    assert "not as headers or lists announce: 3 clips, test_dropped.avi, test_sizes.ts, test_gap (clips.csv" in printed
    assert run.results()["evaluations"][-1]["unusual"] == [f"test_{name}" for name in UNUSUAL]
    for name, remark in UNUSUAL.items():
        assert remark in rows(run)[f"test_{name}"]["warning"]
    paths = [str(unusual.parent / name) for name in UNUSUAL]
    assert cli.run(["predict", *paths, "--run", str(run.path), "--clips", "1", *words]) == 0
    printed = capsys.readouterr().out
    assert cli.run(["embed", *paths, "--run", str(run.path), "--out", str(tmp_path / "out"), *words]) == 0
    embedded = "".join(capsys.readouterr())
    assert "; 3 not as their headers announce, see " in embedded
    assert cli.run(["data", "check", "table", str(unusual), "--workers", "1"]) == 1
    checked = capsys.readouterr().out
    assert "rtsp://10.0.0.7/live is the address of a stream, not a file: record it first" in checked
    for name, remark in UNUSUAL.items():
        path = str(unusual.parent / f"test_{name}")  # no id
        assert cli.run(["search", "query", str(tmp_path / "out"), path, *words[:2]]) == 0
        assert remark in " ".join(capsys.readouterr().err.split())
        assert remark in printed and remark in embedded and remark in checked
