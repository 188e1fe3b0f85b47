"""docs/tracking.md as it stands: its commands and its program, on two synthetic cameras."""

import errno
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from specvid import cli
from specvid.datasets.synthetic.encode import write_video
from specvid.tools.data.mot import read_mot
from specvid.tools.data.tracks import main

PAGE = Path(__file__).parents[3] / "docs" / "tracking.md"
PEOPLE = {"red": (230, 40, 40), "green": (30, 220, 60), "blue": (40, 60, 230)}
LEFT_OUT = [
    "left out: 1 track shorter than --least 4: a lower --least takes more",
    "left out: 1 box behind the last frame (36): give the video that the tracker read, all of it",
    "left out: 1 box outside the picture: where there are many, give the video in the size that the tracker read",
]
UNFIT = (
    "left out: {} whose path --names does not fit, or without a track or frame in it: "
    "where these are crops, mend the expression"
)
WALKS = {"door": {1: "red", 2: "green", 3: "blue"}, "yard": {7: "blue", 8: "red"}}


def film(folder: Path, camera: str) -> None:
    """People of one colour each, who cross the picture one after the other, and the tracker's file."""
    rng, lines, frames = np.random.default_rng(len(camera)), [], []
    walks = list(WALKS[camera].items())
    for number in range(12 * len(walks)):
        track, who = walks[number // 12]
        picture = rng.integers(90, 130, (96, 128, 3), dtype=np.uint8)
        left = 4 + 8 * (number % 12)
        picture[20:84, left : left + 32] = PEOPLE[who]
        frames.append(picture)
        lines.append(f"{number + 1},{track},{left},20,32,64,0.9,-1,-1,-1")
    lines += ["3,99,0,0,5,5,1", "400,1,5,5,5,5,1", "4,2,500,0,9,9,1"]  # short, behind the end, outside the picture
    (folder / f"{camera}.txt").write_text("\n".join(lines) + "\n")
    write_video(folder / f"{camera}.mp4", np.stack(frames), fps=10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cameras")
    for camera in WALKS:
        film(folder, camera)
    return folder


def left_out(text: str) -> list[str]:
    """The lines that say what is left out of a table."""
    return [line for line in text.splitlines() if line.startswith("left out: ")]


def command(start: str) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in re.findall(rf"^    ({re.escape(start)}.*)$", PAGE.read_text(), re.M)]


def test_the_page_says_who_was_seen_when(folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    for words in command("python -m specvid.tools.data.tracks cut"):
        assert main(words[2:]) == 0
    text = capsys.readouterr().out
    assert "tracks/door.csv: 18 crops of 3 tracks\n" in text
    assert left_out(text)[:3] == LEFT_OUT
    said = re.findall(r"^    left out: .*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [line.strip() for line in said] == LEFT_OUT  # the page shows what is printed
    assert len(list((folder / "tracks").rglob("*.jpg"))) == 18 + 12
    with Image.open(folder / "tracks/door/2/000013.jpg") as crop:
        assert crop.size == (32, 64) and np.asarray(crop)[32, 16, 1] > 150
    (words,) = command("specvid embed")
    del words[words.index("--weights") : words.index("--weights") + 2]  # of torchreid, which the test has not
    assert cli.run([*words, "--device", "cpu", "--workers", "0"]) == 0
    (words,) = command("specvid search query")
    capsys.readouterr()
    assert cli.run([*words, "--device", "cpu", "--json"]) == 0
    answer = capsys.readouterr().out
    assert answer.index("yard-8/yard/8") < answer.index("yard-7/yard/7")  # both in red
    save_program(folder)
    import pyarrow.parquet as pq

    walks = {row["pid"]: np.array(row["embedding"]) for row in pq.read_table("people/embeddings").to_pylist()}
    same = min(walks["door-1"] @ walks["yard-8"], walks["door-3"] @ walks["yard-7"])
    others = max(walks[a] @ walks[b] for a, b in (("door-1", "door-2"), ("door-2", "door-3"), ("door-1", "door-3")))
    assert same > others
    run = [sys.executable, "seen.py", "people", str((same + others) / 2)]
    lines = subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()
    form = r"(person \d+)  (\w+) +[\d.]+ to +[\d.]+ s  (track \d+)"
    found = [match.groups() for match in (re.fullmatch(form, line) for line in lines) if match]
    assert len(found) == len(lines)
    people: dict[str, list[tuple[str, str]]] = {}
    for person, camera, track in found:
        people.setdefault(person, []).append((camera, track))
    assert sorted(map(sorted, people.values())) == [
        [("door", "track 1"), ("yard", "track 8")],
        [("door", "track 2")],
        [("door", "track 3"), ("yard", "track 7")],
    ]
    assert "0.00 to     1.00 s" in next(line for line in lines if "door" in line and "track 1" in line)


def test_crops_that_are_named(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("crops").mkdir()
    for name in ("door_t5_f25", "door_t5_f50", "yard_t5_f75", "readme"):
        Image.new("RGB", (8, 16)).save(f"crops/{name}.png")
    (words,) = command("python -m specvid.tools.data.tracks name")
    assert main(words[2:]) == 0
    text = capsys.readouterr().out
    assert "crops.csv: 3 crops of 2 tracks\n" in text
    assert left_out(text) == [UNFIT.format("1 image")]
    assert Path("crops.csv").read_text().splitlines()[1:] == [
        "crops/door_t5_f25.png,door-5,door,5,25,1.000,2.000",
        "crops/door_t5_f50.png,door-5,door,5,50,1.000,2.000",
        "crops/yard_t5_f75.png,yard-5,yard,5,75,3.000,3.000",
    ]


def test_cameras_that_are_not_told_apart_are_refused(tmp_path: Path, capsys) -> None:
    for camera in ("door", "yard"):
        (tmp_path / camera).mkdir()
        Image.new("RGB", (8, 16)).save(tmp_path / camera / "t5_f25.png")
    words = ["name", str(tmp_path), str(tmp_path / "t.csv"), "--names"]
    assert main([*words, r"t(?P<track>\d+)_f(?P<frame>\d+)"]) == 2
    assert "'door/t5_f25.png' and 'yard/t5_f25.png' would both be frame 25 of track '5'" in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()
    assert main([*words, r"(?P<camera>\w+)/t(?P<track>\d+)_f(?P<frame>\d+)"]) == 0


def test_mistakes_are_answered(tmp_path: Path, capsys) -> None:
    bad = tmp_path / "bad.txt"
    for text, why in (
        ("1,2,3\n", "line 1: '1,2,3' is not frame, track"),
        ("0,1,1,1,1,1", "whole number from 1"),
        ("", "no box"),
        ("inf,1,1,1,1,1", "line 1: 'inf,1,1,1,1,1' is not frame, track"),
        ("1,1,nan,1,1e400,1", "is not frame, track"),
    ):
        bad.write_text(text)
        with pytest.raises(ValueError, match=why):
            read_mot(bad)
    assert main(["name", str(tmp_path), str(tmp_path / "t.csv"), "--names", "x"]) == 2
    assert "must have the groups" in capsys.readouterr().err
    assert [box.track for box in read_mot_of(tmp_path, "1 4.0 0 0 5 5\n2;a-b;0;0;5;5")] == ["4", "a-b"]


def read_mot_of(folder: Path, text: str):
    (folder / "good.txt").write_text(text)
    return read_mot(folder / "good.txt")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1,-1,0,0,5,5,0.9\n1,-1,9,9,5,5,0.8", "line 1: track -1 is none, these are detections: run a tracker"),
        ("1,7,0,0,5,5\n2 -1.000e+00 0 0 5 5", "line 2: track -1 is none"),
        ("1,4,0,0,5,5\n2,4,0,0,5,5\n\n1,4.0,9,9,5,5", "lines 1 and 4 are both boxes of track 4 in frame 1"),
        ("1,,10,10,30,30,1", "line 1: track '' must be a whole number"),
        (",1,10,10,30,30,1", "line 1: ',1,10,10,30,30,1' is not frame, track"),
        ("1;1;10,5;20,5;30,0;60,0;1", r"line 1: '1;1;10,5;20,5;30,0;60,0;1' .* one separator: .* \(10\.5, not 10,5\)"),
        ("1 2,3 4,5 6", "line 1: '1 2,3 4,5 6' is not frame, track"),
        ("1\t1\t10,5\t20,5\t30,0\t60,0\t1", "line 1: .* with one separator"),
        ("1 1 10,5 20,5 30,0 60,0", "line 1: .* with one separator"),
        ("1;1;;10;30;30", "line 1: '1;1;;10;30;30' is not frame, track, .* none may be empty"),
        ("1\t\t10\t10\t30\t30\t1", "line 1: track '' must be"),
        ("1,2.5,0,0,5,5", "line 1: track '2.5' must be a whole number"),
        ("1,1e-03,0,0,5,5", "line 1: track '1e-03' must be a whole number"),
        ("1,1.0e+400,0,0,5,5", "line 1: track '1.0e.400' must be a whole number"),
        ("1,1,1e308,10,1e308,30", "line 1: .* left . width and top . height must be finite"),
        ("1,1,0,-1e308,1,-1e308", "line 1: .* must be finite"),
    ],
)
def test_what_is_no_track_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_mot_of(tmp_path, text)


def test_lines_of_many_trackers(tmp_path: Path) -> None:
    for line in ("1, 2, 3, 4, 5, 6, 0.9", "1 ;2; 3;4;5;6;", " 1  2 3   4 5 6", "1\t2\t3\t4 \t5\t6\t"):
        (box,) = read_mot_of(tmp_path, line)
        assert (box.frame, box.track, box.corners) == (0, "2", (3, 4, 8, 10)), line
    np.savetxt(tmp_path / "saved.txt", [[1, 2, 3, 4, 5, 6], [1, 12, 3, 4, 5, 6]])
    assert [(box.frame, box.track) for box in read_mot(tmp_path / "saved.txt")] == [(0, "2"), (0, "12")]
    for name, track in (("1e+06", "1000000"), ("007", "007"), ("1e5", "1e5"), ("a-b", "a-b"), ("9" * 20, "9" * 20)):
        assert read_mot_of(tmp_path, f"1,{name},0,0,5,5")[0].track == track


def answer(words: list[object], capsys) -> str:
    """What is said about a mistake, on one line."""
    assert main([str(word) for word in words]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and "Traceback" not in text
    return text


def test_numbers_that_are_none_are_refused(folder: Path, tmp_path: Path, capsys) -> None:
    Image.new("RGB", (8, 16)).save(tmp_path / "t5_f25.png")
    words = ["name", tmp_path, tmp_path / "t.csv", "--names", r"t(?P<track>\d+)_f(?P<frame>\d+)", "--fps"]
    for fps in ("-25", "nan", "inf"):
        assert f"--fps {fps} must be a finite number above 0" in answer([*words, fps], capsys)
    assert not (tmp_path / "t.csv").exists()
    assert main([*map(str, words), "0"]) == 0
    assert (tmp_path / "t.csv").read_text().splitlines()[1] == "t5_f25.png,camera-5,camera,5,25,,"
    words = ["cut", folder / "door.mp4", folder / "door.txt", tmp_path / "out", "--camera", "door"]
    for option, value in (("--every", "-3"), ("--every", "0"), ("--least", "-1"), ("--least", "0")):
        assert answer([*words, option, value], capsys) == f"{option} {value} must be at least 1.\n"
    assert not (tmp_path / "out").exists()


def test_a_track_or_frame_that_the_name_lacks_is_unfit(tmp_path: Path, capsys) -> None:
    for file in ("t5_f25", "f25", "t_f26", "t5_"):
        Image.new("RGB", (8, 16)).save(tmp_path / f"{file}.png")
    words = ["name", str(tmp_path), str(tmp_path / "t.csv"), "--names", r"(t(?P<track>\d*)_)?(f(?P<frame>\d+))?\.png$"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "t.csv: 1 crop of 1 track\n" in text
    assert left_out(text) == [UNFIT.format("3 images")]


def test_the_folder_is_not_there(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").touch()
    rest = [tmp_path / "t.csv", "--names", r"(?P<track>\d+)_(?P<frame>\d+)"]
    assert "none is no folder: there is none of that name" in answer(["name", tmp_path / "none", *rest], capsys)
    assert "file is a file, no folder" in answer(["name", tmp_path / "file", *rest], capsys)


def test_a_disk_that_fails_is_said(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    words = ["cut", folder / "door.mp4", folder / "door.txt", tmp_path, "--camera", "door"]
    (tmp_path / "door").touch()
    assert "door' is no folder" in answer(words, capsys)
    (tmp_path / "door").unlink()
    (tmp_path / "door.csv").mkdir()
    assert "door.csv' is a folder" in answer(words, capsys)
    assert not (tmp_path / "door").exists()
    (tmp_path / "door.csv").rmdir()
    (tmp_path / "door").mkdir()
    (tmp_path / "door" / "1").touch()
    assert "door/1' cannot be used (File exists): mend that" in answer(words, capsys)
    (tmp_path / "door" / "1").unlink()

    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "door/1/000000.jpg cannot be written: the disk is full. Mend that" in answer(words, capsys)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_why_nothing_is_left(folder: Path, tmp_path: Path, capsys) -> None:
    mot = tmp_path / "boxes.txt"
    words = ["cut", folder / "door.mp4", mot, tmp_path / "out", "--camera", "door"]
    mot.write_text("1,1,0,0,5,5\n2,1,0,0,5,5\n1,2,0,0,5,5\n")
    assert "3 boxes of 2 tracks, 2 tracks shorter than --least 4. Give" in answer([*words, "--least", 4], capsys)
    mot.write_text("37,1,0,0,5,5\n38,1,0,0,5,5\n40,1,0,0,5,5\n1,2,200,0,5,5\n3,3,0,0,5,5\n")
    said = answer([*words, "--least", 2, "--every", 2], capsys)
    assert (
        "5 boxes of 3 tracks, 2 tracks shorter than --least 2, 2 boxes behind the last frame (36), "
        "1 box passed over by --every 2. Give" in said
    )
    mot.write_text("1,1,200,0,5,5\n37,1,0,0,5,5\n")
    assert "1 box behind the last frame (36), 1 box outside the picture" in answer(words, capsys)
    assert not (tmp_path / "out").exists()


def test_cutting_again_removes_what_the_table_before_names(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["cut", str(folder / "door.mp4"), str(folder / "door.txt"), str(tmp_path), "--camera", "door"]
    assert main(words) == 0
    table = tmp_path / "door.csv"
    assert "removed" not in capsys.readouterr().out
    assert len(list(tmp_path.glob("door/*/*.jpg"))) == 37  # the short one, too
    for other in ("1/notes.txt", "2/000999.jpg", "mine.jpg"):
        (tmp_path / "door" / other).write_text("the user's")
    labelled = table.read_text().replace("door/1/000001.jpg,door-1,", "door/1/000001.jpg,anna,")
    table.write_text(labelled + "door/1/../mine.jpg,door-1,door,1,5,0,0\ndoor/2/000999.jpg,x,door,2,999,0,0\n")
    assert main([*words, "--every", "2", "--least", "4"]) == 0
    assert "door.csv: 18 crops of 3 tracks; removed: 18 crops of the table before\n" in capsys.readouterr().out
    named = {line.split(",")[0] for line in table.read_text().splitlines()[1:]}
    left = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "door").rglob("*") if path.is_file()}
    assert left == named | {"door/1/notes.txt", "door/2/000999.jpg", "door/mine.jpg", "door/1/000001.jpg"}
    assert not (tmp_path / "door" / "99").exists()
    table.write_text("a table of somebody else's\n")
    assert main([*words, "--every", "3"]) == 0
    assert "removed" not in capsys.readouterr().out


def save_program(folder: Path) -> Path:
    """Save the program of the page under the name that the page gives it."""
    page = PAGE.read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (name,) = re.findall(r"Save it as `(.*?)`", page)
    assert command(f"python {name}")
    (folder / name).write_text(program, encoding="utf-8")
    return folder / name


def seen(folder: Path, walks: dict[str, list[object]], *words: str) -> subprocess.CompletedProcess[str]:
    """What the program says of walks."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "embeddings").mkdir(exist_ok=True)
    pq.write_table(pa.table(walks), folder / "embeddings" / "part.parquet")
    run = [sys.executable, str(save_program(folder)), *words]
    return subprocess.run(run, capture_output=True, text=True, check=False)


def test_the_program_refuses_walks_without_times(tmp_path: Path) -> None:
    for times in ({}, {"from_s": [None, None]}, {"from_s": ["0.5", ""]}):
        walks = {"embedding": [[1.0, 0.0], [0.0, 1.0]], "camid": ["a", "b"], "track": [1, 2], **times}
        done = seen(tmp_path, walks, str(tmp_path), "0.7")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "Some walks have no times: make their table with --fps, and embed it again.\n"


def test_the_program_puts_nobody_into_one_picture_twice(tmp_path: Path) -> None:
    """Neither directly nor by way of a third walk; who is in the other camera goes to the one that is most alike."""
    walks: dict[str, list[object]] = {
        "embedding": [[1.0, 0.0], [0.98, 0.2], [1.0, 0.03], [1.0, 0.01], [1.0, 0.02]],
        "camid": ["door", "door", "door", "yard", "door"],
        "track": [1, 2, 3, 9, 4],
        "from_s": ["0.000", "0.000", "2.000", "0.000", "2.040"],
        "to_s": ["2.000", "2.000", "3.000", "2.000", "4.000"],
    }
    done = seen(tmp_path, walks, str(tmp_path), "0.7")
    assert [(line.split()[1], line.split()[2], line.split()[-1]) for line in done.stdout.splitlines()] == [
        ("1", "door", "1"),
        ("1", "yard", "9"),
        ("1", "door", "4"),  # begins after track 1 ends, and is more like the two than track 2
        ("2", "door", "2"),
        ("3", "door", "3"),  # in its first picture there are tracks 1 and 2
    ]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "usage: python seen.py FOLDER THRESHOLD"),
        (["HERE"], "usage: python seen.py FOLDER THRESHOLD"),
        (["HERE", "much"], "'much'\nGive the folder that `specvid embed` wrote, and a number"),
        (["nowhere", "0.7"], "nowhere/embeddings\nGive the folder that"),
    ],
)
def test_the_program_says_what_it_needs(tmp_path: Path, words: list[str], why: str) -> None:
    walks: dict[str, list[object]] = {
        "embedding": [[1.0]],
        "camid": ["a"],
        "from_s": ["0"],
        "to_s": ["1"],
        "track": [1],
    }
    done = seen(tmp_path, walks, *(str(tmp_path) if word == "HERE" else word for word in words))
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr and "Traceback" not in done.stderr
