"""`data check` and `data prepare` of action sets besides UCF-101."""

import csv
import io
import tarfile
import zipfile

import numpy as np
import pytest

from specvid.datasets.synthetic import SYNTHESIZERS, write_video
from specvid.tools.data.check import check
from specvid.tools.data.prepare import prepare


def zip_folder(folder, archive):
    with zipfile.ZipFile(archive, "w") as content:
        for path in sorted(folder.rglob("*")):
            content.write(path, path.relative_to(folder.parent))


def tar_parts(folder, name, archives, parts=3):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(folder, folder.name)
    data = packed.getvalue()
    step = len(data) // parts + 1
    for number in range(parts):
        (archives / f"{name}-{number:02d}").write_bytes(data[number * step : (number + 1) * step])


@pytest.mark.parametrize(
    "dataset", ["folders", "table", "hmdb51", "kinetics", "something-v1", "something-v2", "jester", "diving48"]
)
def test_check(tmp_path, dataset):
    SYNTHESIZERS[dataset](tmp_path / "set", scenes=4)
    root = tmp_path / "set" / ("clips.csv" if dataset == "table" else "")
    decoded = dataset in ("table", "something-v1", "something-v2")  # a time span, a folder of frames, a video file
    report = check(dataset, root, fast=not decoded, workers=1)
    assert report.ok, report.lines
    assert "16 clips listed, 2 classes" in report.lines[0]
    if dataset == "table":
        assert "4 of 4 files can be read: 256 frames" in report.lines


def test_a_span_behind_the_end_is_a_problem(tmp_path):
    SYNTHESIZERS["table"](tmp_path / "set", scenes=4)
    path = tmp_path / "set" / "clips.csv"
    rows = list(csv.reader(path.open()))
    rows[1][-2:] = ["100", "101"]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    report = check("table", path, workers=1)
    assert not report.ok and "has no frame from 100 to 101 s" in "\n".join(report.lines)


def test_a_table_in_the_folder_one_works_in(tmp_path, monkeypatch):
    """Names without a folder, and names as Windows and other disks spell them."""
    (tmp_path / "sub dir").mkdir()
    for name in ("a b.mp4", "Upper.MP4", "sub dir/x.mp4"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    rows = ["path;label;set", "a b.mp4;run;train", "upper.mp4;walk;train", "sub dir\\x.mp4;run;test"]
    (tmp_path / "clips.csv").write_bytes(("\ufeff" + "\r\n".join(rows) + "\r\n").encode())
    report = check("table", "clips.csv", fast=True)
    assert report.ok and "3 of 3 clips are there" in "\n".join(report.lines)
    assert "upper.mp4 is Upper.MP4" in "\n".join(report.lines)


def test_check_names_ends_behind_those_of_the_videos(tmp_path):
    write_video(tmp_path / "v.mp4", np.zeros((50, 16, 16, 3), np.uint8), 25)
    rows = ["path,label,set,start_s,end_s", "v.mp4,a,train,0,1", "v.mp4,b,train,1,2.9", "v.mp4,b,train,1.5,500"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    report = check("table", tmp_path / "t.csv", workers=1)
    at = report.lines.index("warning: 1 clip listed to end after the end of the video, to which it is cut:")
    assert report.ok and report.lines[at + 1].startswith(
        "  v.mp4#1.5-500: the list ends the clip at 500 s, the video at"
    )
    assert list(report.warnings) == ["v.mp4#1.5-500"]


def test_check_names_classes_that_cannot_be_learned(tmp_path):
    rows = ["path,label,set", "1.mp4,a,train", "2.mp4,b,test"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    printed = "\n".join(check("table", tmp_path / "t.csv", fast=True).lines)
    assert "warning: all clips to train on are of one class, a:" in printed
    assert (
        "warning: 1 class to validate or to test on without a clip to train on, which cannot be learned: b" in printed
    )


def test_check_takes_groups(tmp_path):
    SYNTHESIZERS["hmdb51"](tmp_path / "set", scenes=4)
    root = tmp_path / "set" / "hmdb51_org"
    report = check("folders", root, fast=True, groups="(film[0-9]*)_", test_fraction=0.25)
    assert report.ok and "clips to test on: 4" in "\n".join(report.lines)


@pytest.mark.parametrize("dataset", ["something-v1", "jester"])
def test_prepare_of_frames_in_parts(tmp_path, dataset):
    SYNTHESIZERS[dataset](tmp_path / "set", scenes=4)
    archives = tmp_path / "archives"
    archives.mkdir()
    frames = next(path for path in (tmp_path / "set").iterdir() if path.is_dir())
    tar_parts(frames, frames.name, archives)
    for path in (tmp_path / "set").glob("*.csv"):
        path.rename(archives / path.name)
    assert prepare(dataset, archives, tmp_path / "out", echo=lambda line: None).ok


def test_prepare_of_something_v2(tmp_path):
    SYNTHESIZERS["something-v2"](tmp_path / "set", scenes=4)
    archives = tmp_path / "archives"
    archives.mkdir()
    tar_parts(tmp_path / "set" / "20bn-something-something-v2", "20bn-something-something-v2", archives)
    zip_folder(tmp_path / "set" / "labels", archives / "20bn-something-something-download-package-labels.zip")
    assert prepare("something-v2", archives, tmp_path / "out", echo=lambda line: None).ok


def test_prepare_of_hmdb51(tmp_path):
    """One archive for each class within the archive; a zip file is unpacked as such whatever its name."""
    SYNTHESIZERS["hmdb51"](tmp_path / "set", scenes=4)
    archives = tmp_path / "archives"
    (archives / "classes").mkdir(parents=True)
    for folder in (tmp_path / "set" / "hmdb51_org").iterdir():
        zip_folder(folder, archives / "classes" / f"{folder.name}.rar")
    with zipfile.ZipFile(archives / "hmdb51_org.rar", "w") as content:
        for path in (archives / "classes").iterdir():
            content.write(path, path.name)
    zip_folder(tmp_path / "set" / "testTrainMulti_7030_splits", archives / "test_train_splits.rar")
    given = [archives / "hmdb51_org.rar", archives / "test_train_splits.rar"]
    assert prepare("hmdb51", given, tmp_path / "out", echo=lambda line: None).ok


def test_prepare_of_diving48(tmp_path):
    SYNTHESIZERS["diving48"](tmp_path / "set", scenes=4)
    archives = tmp_path / "archives"
    archives.mkdir()
    with tarfile.open(archives / "Diving48_rgb.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "set" / "rgb", "rgb")
    for path in (tmp_path / "set").glob("*.json"):
        path.rename(archives / path.name)
    assert prepare("diving48", archives, tmp_path / "out", echo=lambda line: None).ok
