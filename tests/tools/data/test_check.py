"""data check for UCF-101: complete sets pass, cut-down ones are reported, and what is wrong is named."""

import csv

import pytest
from read_damaged import verify_or_die
from shared_data import shared
from synthetic_videos import blank_frames, lose_frames, numbered_frame, write_video

from specvid.datasets.layouts import ucf101
from specvid.tools.data import verify
from specvid.tools.data.check import check

CLIPS = [f"{name}/v_{name}_g0{group}_c01.avi" for name in ("Archery", "Bowling") for group in (1, 2)]


def counts_of(small_counts=()):
    """The lines with the numbers of clips; those of the official lists if not given."""
    lines = []
    for split, published in ucf101.SPLITS.items():
        for side, here, count in zip(("train", "test"), small_counts or published, published, strict=True):
            lines.append(f"  split {split}, clips to {side} on: {here:,} (published: {count:,})")
    return lines


@pytest.fixture
def small(tmp_path):
    """Two classes of two short clips each."""
    for name in CLIPS:
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, map(numbered_frame, range(20)), options={"g": "12"})
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n2 Bowling\n")
    for split in (1, 2, 3):
        (lists / f"trainlist0{split}.txt").write_text(f"{CLIPS[1]} 1\n{CLIPS[3]} 2\n")
        (lists / f"testlist0{split}.txt").write_text(f"{CLIPS[0]}\n{CLIPS[2]}\n")
    return tmp_path


def test_a_sound_cut_down_set(small):
    report = check("ucf101", small, workers=1)
    assert report.ok
    assert report.exit_code == 0
    assert report.title == "UCF-101 cut down to 2 of 101 classes"
    assert report.lines == [
        f"UCF-101 cut down to 2 of 101 classes: 4 clips listed, 2 classes, in {small}",
        "  classes: 2 (published: 101)",
        *counts_of(small_counts=(2, 2)),
        "4 of 4 clips can be read: 80 frames",
        "nothing is wrong",
    ]


def test_missing_damaged_and_unlisted_files_are_named(small):
    videos = small / "videos"
    (videos / CLIPS[0]).unlink()
    (videos / CLIPS[1]).write_bytes((videos / CLIPS[1]).read_bytes()[:-1500])
    lose_frames(videos / CLIPS[2], range(10, 20))
    blank_frames(videos / CLIPS[3], [19])
    (videos / "Archery" / "notes.txt").touch()
    fast, complete = check("ucf101", small, fast=True), check("ucf101", small, workers=2)
    assert list(fast.problems) == [str(videos / CLIPS[0])]
    assert set(complete.problems) == {str(videos / name) for name in CLIPS[:2]}
    for report in (fast, complete):
        assert report.exit_code == 1
        assert report.problems[str(videos / CLIPS[0])] == f"missing: {videos / CLIPS[0]} is not there"
        assert any("1 file in no list" in line and "Archery/notes.txt" in line for line in report.lines)
    assert (
        "is damaged: " in complete.problems[str(videos / CLIPS[1])]
        and "its header announces" in complete.problems[str(videos / CLIPS[1])]
    )
    assert "1 problem, 1 clip missing:" in complete.lines
    assert sum(str(videos / name) in line for name in CLIPS[:2] for line in complete.lines) == 2
    assert "2 of 4 clips can be read: 29 frames" in complete.lines
    at = complete.lines.index("warning: 2 of them are not as their headers announce, and are read:")
    assert f"  {videos / CLIPS[2]}: its header announces 20 frames, 10 decode" in complete.lines[at + 1 : at + 3]
    assert any(line.startswith(f"  {videos / CLIPS[3]}: ") for line in complete.lines[at + 1 : at + 3])
    complete.write(small / "all.csv")
    with open(small / "all.csv", newline="") as file:
        rows = {row["name"]: (row["kind"], row["text"]) for row in csv.DictReader(file)}
    kinds = ("missing", "problem", "warning", "warning")
    assert rows == {
        path: (kind, {**complete.problems, **complete.warnings}[path])
        for kind, path in zip(kinds, (str(videos / name) for name in CLIPS), strict=True)
    }


def test_a_file_that_kills_the_decoder_is_named(small, monkeypatch):
    monkeypatch.setattr(verify, "verify_task", verify_or_die)
    report = check("ucf101", small, workers=2)
    path = str(small / "videos" / CLIPS[1])
    assert report.problems == {path: f"{path}: is damaged: the decoder crashes on it"}
    assert "3 of 4 clips can be read: 60 frames" in report.lines


def test_wrong_lists_are_named(small):
    lists = small / "ucfTrainTestlist"
    (lists / "testlist03.txt").unlink()
    (lists / "trainlist01.txt").write_text("Archery/v_Archery_g01_c02.avi 1\n")
    problems = check("ucf101", small, fast=True).problems
    assert set(problems) == {"split 1", "split 3"}  # split 2 can be read
    assert "testlist03.txt cannot be read" in problems["split 3"]
    assert "Archery_g01; clips of one source stay on one side" in problems["split 1"]
    (lists / "testlist02.txt").write_text(f"{CLIPS[1]}\n")
    with pytest.raises(ValueError, match="split 1 of "):  # nothing can be read
        check("ucf101", small, fast=True)


def test_no_ucf101_at_all(tmp_path):
    with pytest.raises(ValueError, match="is not UCF-101"):
        check("ucf101", tmp_path)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """The official lists, and an empty file for each of the 13,320 clips."""
    root = tmp_path_factory.mktemp("ucf101")
    source, lists = shared("data/ucf101-lists"), root / "ucfTrainTestlist"
    lists.mkdir()
    for file in source.glob("*.txt"):
        (lists / file.name).write_bytes(file.read_bytes())
    classes = ucf101.read_classes(lists / "classInd.txt")
    for name in classes:
        (root / "videos" / name).mkdir(parents=True)
    for side in ("train", "test"):
        for name in ucf101.read_list(lists / f"{side}list01.txt", classes):
            (root / "videos" / name).touch()
    return root


@pytest.mark.data
def test_the_whole_set_by_name(official):
    report = check("ucf101", official, fast=True)
    assert report.ok
    assert report.lines == [
        f"UCF-101: 13,320 clips listed, 101 classes, in {official}",
        "  classes: 101 (published: 101)",
        *counts_of(),
        "13,320 of 13,320 clips are there (names only: nothing was opened)",
        "nothing is wrong",
    ]


@pytest.mark.data
def test_the_whole_set_with_something_missing(official):
    lists = official / "ucfTrainTestlist"
    names = (lists / "trainlist02.txt").read_text().splitlines()
    gone = [official / "videos" / name.split()[0] for name in names[:30]]
    for path in gone:
        path.unlink()
    (lists / "trainlist02.txt").write_text("\n".join(names[:-7]))
    try:
        report = check("ucf101", official, fast=True)
    finally:
        for path in gone:
            path.touch()
        (lists / "trainlist02.txt").write_text("\n".join(names))
    assert not report.ok
    assert report.title == "UCF-101"
    assert len(report.problems) == 31
    assert report.problems["split 2, clips to train on"].endswith("9,579 here, 9,586 published")
    assert "1 problem, 30 clips missing:" in report.lines
    assert report.lines[-1] == "  ... and 10 more"


@pytest.mark.data
def test_real_clips():
    report = check("ucf101", shared("data/ucf101-raw"), workers=2)
    assert report.ok, report.lines
    assert "30 of 30 clips can be read: 3,030 frames" in report.lines


def test_progress_bar(small, capsys):
    check("ucf101", small, workers=1, progress=True)
    assert "4/4" in capsys.readouterr().out
