"""docs/tracking.md as it stands: its commands and its program, on two synthetic cameras."""

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
from specvid.tools.data.tracks import main, read_mot

PAGE = Path(__file__).parents[3] / "docs" / "tracking.md"
PEOPLE = {"red": (230, 40, 40), "green": (30, 220, 60), "blue": (40, 60, 230)}
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


def command(start: str) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in re.findall(rf"^    ({re.escape(start)}.*)$", PAGE.read_text(), re.M)]


def test_the_page_says_who_was_seen_when(folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    for words in command("python -m specvid.tools.data.tracks cut"):
        assert main(words[2:]) == 0
    text = capsys.readouterr().out
    assert "tracks/door.csv: 18 crops of 3 tracks; left out: 1 outside, 1 end, 1 short" in text
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
    (program,) = re.findall(r"```python\n(import sys\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    Path("seen.py").write_text(program, encoding="utf-8")
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
    assert "crops.csv: 3 crops of 2 tracks; left out: 1 unfit" in capsys.readouterr().out
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
