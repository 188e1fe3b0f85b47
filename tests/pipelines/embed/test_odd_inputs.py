"""Embedding from lists and tables as people have them, files with lost frames, and frames not evenly spaced in time."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from synthetic_videos import blank_frames, numbered_frame, write_numbered, write_video

from specvid.cli import run as command
from specvid.pipelines.embed.inputs import find_inputs

QUICK = "--model r3d_tiny --device cpu --workers 0 --frames 4 --stride 2 --size 16 --resize 20"


def table(path: Path, content: str | bytes, **options: str) -> list[dict[str, Any]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return find_inputs([path], **options).table.to_pylist()


def embed(out: Path, *words: object) -> tuple[int, list[dict[str, Any]]]:
    code = command(["embed", *map(str, words), "--out", str(out), *QUICK.split()])
    return code, pq.read_table(out / "embeddings").to_pylist() if (out / "embeddings").is_dir() else []


def test_ids_and_paths_are_text(tmp_path: Path) -> None:
    found = table(tmp_path / "ids.csv", "id,path,pid,n\n0001,base.mp4,0012,3\n01,base.mp4,12,4\n")
    assert [(row["id"], row["pid"], row["n"]) for row in found] == [("0001", "0012", 3), ("01", "12", 4)]
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save((tmp_path / "00001").mkdir() or tmp_path / "00001/f1.png")
    (found,) = table(tmp_path / "frames.csv", "path,label\n00001,run\n")
    assert found["file"] == str(tmp_path / "00001").encode()


def test_tables_of_any_make(tmp_path: Path) -> None:
    for text in ("path;label\nbase.mp4;run\n", "path\tlabel\r\nbase.mp4\trun\r\n", "\ufeffpath,label\nbase.mp4,run\n"):
        (found,) = table(tmp_path / "it.csv", text)
        assert (found["file"], found["label"]) == (str(tmp_path / "base.mp4").encode(), "run")
    latin = "path,label\nbase.mp4,déjà\n".encode("latin-1")
    with pytest.raises(ValueError, match=r"line 2 is not UTF-8"):
        table(tmp_path / "lat.csv", latin)
    assert table(tmp_path / "lat.csv", latin, encoding="latin-1")[0]["label"] == "déjà"


def test_a_table_in_the_folder_one_works_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Upper.MP4").touch()
    Path("it.csv").write_text("path\nupper.mp4\n")
    found = find_inputs(["it.csv"])
    assert found.table.to_pylist()[0]["file"] == b"Upper.MP4"
    assert "upper.mp4 is Upper.MP4" in " ".join(found.warnings)


@pytest.mark.parametrize(
    ("content", "message"),
    [("path,path\nbase.mp4,b.mp4\n", "two columns called 'path'"), ("path,label\n", "has no rows")],
)
def test_a_table_that_says_nothing_or_two_things(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table(tmp_path / "it.csv", content)


def test_lists_with_labels(tmp_path: Path) -> None:
    """``path label``, the Kinetics way; but a file whose name ends in a number stays one."""
    found = table(tmp_path / "kin.txt", "a b.mp4 0\nfull.mp4 1\n")
    assert [(Path(row["file"].decode()).name, row["label"]) for row in found] == [("a b.mp4", 0), ("full.mp4", 1)]
    (tmp_path / "take 2").write_bytes(b"")
    assert "label" not in table(tmp_path / "names.txt", "take 2\ntake 3\n")[0]
    (tmp_path / "Deep").mkdir()
    (tmp_path / "Deep/One.avi").write_bytes(b"")
    found = find_inputs([write(tmp_path / "win.txt", b"\xef\xbb\xbfdeep\\one.avi\r\n")])
    assert found.table["file"].to_pylist() == [str(tmp_path / "Deep/One.avi").encode()]
    assert "spelt with other capitals" in found.warnings[0]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_hidden_files_are_left_out_and_counted(tmp_path: Path) -> None:
    for name in (".ipynb_checkpoints", "__MACOSX", "cam"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save((tmp_path / name).mkdir() or tmp_path / name / "f1.png")
    write(tmp_path / "cam/._f1.png", b"appledouble")
    found = find_inputs([tmp_path])
    assert (found.table["id"].to_pylist(), found.hidden) == ([str(tmp_path / "cam")], 3)


def test_lost_frames_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four of a hundred frames are lost: reported, counted, also by the next start; with --min-readable 1 it fails."""
    path = blank_frames(write_numbered(tmp_path), range(80, 84))
    code, found = embed(tmp_path / "out", path)
    captured = capsys.readouterr()
    assert (code, len(found)) == (0, 1)
    assert "1 with lost frames, see" in captured.out and "warnings.parquet" in captured.out
    assert "the nearest ones stand in (mpeg4:" in captured.err
    (warning,) = pq.read_table(tmp_path / "out/warnings.parquet").to_pylist()
    assert warning["path"] == str(path) and warning["lost"] and "2 of 52 wanted frames" in warning["warning"]
    assert embed(tmp_path / "out", path)[0] == 0 and "1 with lost frames" in capsys.readouterr().out
    code, found = embed(tmp_path / "strict", path, "--min-readable", "1")
    assert (code, found) == (1, [])
    (error,) = pq.read_table(tmp_path / "strict/errors.parquet").to_pylist()
    assert error["path"] == str(path) and "2 of 52 wanted frames" in error["reason"] and "mpeg4" in error["reason"]
    other = str(shutil.copy(path, tmp_path / "other.avi"))  # the path itself is the id of a row
    query = ["search", "query", str(tmp_path / "out"), other, "--device", "cpu"]
    assert command(query) == 0 and "the nearest ones stand in" in capsys.readouterr().err
    assert command([*query, "--min-readable", "1"]) == 2 and "is damaged: 2 of 52" in capsys.readouterr().err
    assert command([*query, "--min-readable", "2"]) == 2 and "must be a share" in capsys.readouterr().err


def test_any_name_can_be_searched_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is not UTF-8: as the id that it became, and as a file that is no row."""
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9.avi"))
    write_numbered(tmp_path, count=10).rename(path)
    code, (row,) = embed(tmp_path / "out", path)
    assert code == 0 and row["id"].endswith("caf\\xe9.avi")
    query = ["search", "query", str(tmp_path / "out")]
    assert command([*query, path]) == 0 and "0 of 1 row" in capsys.readouterr().out  # itself is no answer
    other = shutil.copy(path, path.replace("caf", "cafe"))
    assert command([*query, other, "--device", "cpu"]) == 0 and "1.0000" in capsys.readouterr().out


@pytest.mark.parametrize("address", ["rtsp://10.0.0.7/live", "https://example.org/a.mp4"])
def test_the_address_of_a_stream(tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence that says what to do, given or in a list; whatever else is embedded goes on."""
    path = write_numbered(tmp_path, count=10)
    says = "is the address of a stream, not a file: record it first"
    assert command(["embed", address, "--out", str(tmp_path / "no"), *QUICK.split()]) == 2
    assert says in capsys.readouterr().err
    listed = write(tmp_path / "list.txt", f"{path.name}\n{address}\n".encode())
    code, found = embed(tmp_path / "out", listed)
    assert (code, len(found)) == (1, 1) and says in capsys.readouterr().err
    assert command(["search", "query", str(tmp_path / "out"), address]) == 2 and says in capsys.readouterr().err


def test_windows_of_seconds_go_by_presentation_times(tmp_path: Path) -> None:
    """20 frames 33 ms apart, then 20 at half a second; time stamps that begin at 7 s: start_s counts from the first."""
    times = [7 + 0.033 * i if i < 20 else 7 + 0.66 + 0.5 * (i - 20) for i in range(40)]
    path = write_video(tmp_path / "vfr.mkv", map(numbered_frame, range(40)), "libx264", times=times)
    _, found = embed(tmp_path / "out", path, "--window", "sliding", "--length", "1s", "--every", "1s")
    for row in found:
        first, last = row["first_frame"], row["last_frame"]
        assert row["start_s"] == pytest.approx(times[first] - 7, abs=0.002)
        assert times[last] - times[first] < 1.001
        if last < 39:
            assert row["end_s"] == pytest.approx(times[last + 1] - 7, abs=0.002)
    assert [(row["first_frame"], row["last_frame"]) for row in found[:3]] == [(0, 20), (21, 22), (23, 24)]
    assert found[-1]["last_frame"] == 39
