"""What is embedded: files, folders, globs, lists, tables."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from specvid.pipelines.embed.inputs import Sources, find_inputs
from specvid.text import one_line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "videos"
    for name in ("b.mp4", "a.avi", "deep/er/c.MKV", "notes.md", "deep/none", "walk/2.png", "walk/10.png"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def ids(inputs, **options) -> list[str]:
    return find_inputs(inputs, **options).table["id"].to_pylist()


def test_a_folder_is_searched_for_videos_and_folders_of_images(folder: Path) -> None:
    found = find_inputs([folder])
    names = [f"{folder}/{name}" for name in ("a.avi", "b.mp4", "deep/er/c.MKV", "walk")]
    assert found.table["id"].to_pylist() == names
    assert found.skipped == {".md": 1, "no suffix": 1}
    assert [source.path for source in Sources(found.table, range(4))] == names


def test_files_globs_and_repetition(folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    assert ids(["b.mp4", "notes.md"]) == ["b.mp4", "notes.md"]  # what is named is tried
    assert ids(["**/*.MKV"]) == ["deep/er/c.MKV"]
    found = find_inputs(["b.mp4", "*.mp4", "a.avi"])
    assert found.table["id"].to_pylist() == ["a.avi", "b.mp4"] and found.repeated == 1
    for wrong, why in (("*.xyz", "matches nothing"), ("gone.mp4", "does not exist"), ("walk/2.png", "single image")):
        with pytest.raises(ValueError, match=why):
            find_inputs([wrong])
    with pytest.raises(ValueError, match="no VIDEO"):
        find_inputs([])
    (folder / "walk/sub").mkdir()
    with pytest.raises(ValueError, match="nothing to embed"):
        find_inputs(["walk/sub"])


def test_lists_one_a_line_or_separated_by_nul(folder: Path) -> None:
    (folder / "list.txt").write_text("b.mp4\n\ngone.mp4\n", encoding="utf-8")
    assert ids([folder / "list.txt"]) == [f"{folder}/b.mp4", f"{folder}/gone.mp4"]
    (folder / "nul.txt").write_bytes(b"b.mp4\0two\nlines.mp4\0")
    assert ids([folder / "nul.txt"]) == [f"{folder}/b.mp4", f"{folder}/two\nlines.mp4"]
    (folder / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match="names nothing"):
        find_inputs([folder / "empty.txt"])


@pytest.mark.parametrize("suffix", ["txt", "csv"])
def test_lists_that_are_no_plain_files(folder: Path, suffix: str) -> None:
    """A device never ends, and a pipe never begins."""
    (folder / f"zero.{suffix}").symlink_to("/dev/zero")
    os.mkfifo(folder / f"pipe.{suffix}")
    for name in (f"zero.{suffix}", f"pipe.{suffix}"):
        with pytest.raises(ValueError, match="is no plain file"):
            find_inputs([folder / name])


def test_labels_beyond_64_bits_are_none(folder: Path) -> None:
    (folder / "large.txt").write_text(f"b.mp4 {10**20}\nb.mp4 {'9' * 6000}\n")
    assert ids([folder / "large.txt"])[0] == f"{folder}/b.mp4 {10**20}"


def test_tables_carry_their_columns(folder: Path) -> None:
    (folder / "t.csv").write_text('video,label,camid\nb.mp4,run,3\n"a.avi",,4\n')
    table = find_inputs([folder / "t.csv"], path_column="video").table
    assert table.column_names == ["id", "file", "problem", "label", "camid", "folder"]
    assert table["folder"].to_pylist() == [None, None]
    assert table["camid"].to_pylist() == [4, 3] and table["label"].to_pylist() == ["", "run"]
    pq.write_table(pa.table({"path": ["b.mp4", "b.mp4"], "id": [2, 1], "w": [0.5, None]}), folder / "t.parquet")
    table = find_inputs([folder / "t.parquet"]).table
    assert table["id"].to_pylist() == ["1", "2"] and table["w"].to_pylist() == [None, 0.5]
    both = find_inputs([folder / "t.parquet", folder / "a.avi"]).table
    assert both["w"].to_pylist() == [None, None, 0.5]


def test_files_of_a_folder_say_in_which_one_inside_it_they_lie(tmp_path: Path) -> None:
    """Often the class: nothing else says it of `videos/run/1.avi`."""
    for name in ("videos/run/1.avi", "videos/walk/left/2.avi", "videos/3.avi", "videos/walk/shot/0001.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    videos = tmp_path / "videos"

    def of(*inputs: Path) -> dict[str, str | None]:
        table = find_inputs(inputs).table
        names = (os.path.relpath(name, videos) for name in table["id"].to_pylist())
        return dict(zip(names, table["folder"].to_pylist(), strict=True))

    assert of(videos) == {"run/1.avi": "run", "walk/left/2.avi": "walk/left", "3.avi": "", "walk/shot": "walk"}
    assert of(videos / "walk/shot") == {"walk/shot": ""}
    assert of(videos / "3.avi", videos / "run") == {"3.avi": None, "run/1.avi": ""}
    assert of(videos, videos / "walk", videos / "3.avi")["walk/left/2.avi"] == "walk/left"  # as it was found first
    (tmp_path / "t.csv").write_text("path,folder\nvideos/3.avi,mine\n")
    assert of(tmp_path / "t.csv", videos / "run") == {"3.avi": "mine", "run/1.avi": None}


def test_wrong_tables_are_told(folder: Path) -> None:
    def refused(text: str, match: str) -> None:
        (folder / "w.csv").write_text(text)
        with pytest.raises(ValueError, match=match):
            find_inputs([folder / "w.csv"])

    refused("pth\na.avi\n", "path column 'path' is unknown.*'pth'")
    refused("path,embedding\na.avi,3\n", "'embedding', a name that the embeddings use")
    refused("path,label\na.avi,x\n,y\n", "row 2 has no path")
    refused("path,label\na.avi,x\na.avi,y\n", "stands for two inputs")
    (folder / "w.parquet").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read"):
        find_inputs([folder / "w.parquet"])


def test_odd_names_survive(tmp_path: Path) -> None:
    names = ["with space.mp4", "naïve 視頻.mp4", "two\nlines.mp4", os.fsdecode(b"bad\xff.mp4")]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    table = find_inputs([tmp_path]).table
    assert {source.path for source in Sources(table, range(4))} == {f"{tmp_path}/{name}" for name in names}
    assert f"{tmp_path}/bad\\xff.mp4" in table["id"].to_pylist()
    assert one_line("two\nlines 視") == "two\\nlines 視"


@pytest.mark.skipif(not hasattr(os, "seteuid") or os.geteuid() != 0, reason="only root can take its own rights away")
def test_a_folder_without_permission_becomes_a_failure(folder: Path) -> None:
    for part in (folder, *folder.parents):
        part.chmod(0o755)
    (folder / "deep").chmod(0)
    os.seteuid(65534)
    try:
        found = find_inputs([folder])
    finally:
        os.seteuid(0)
    problems = dict(zip(found.table["id"].to_pylist(), found.table["problem"].to_pylist(), strict=True))
    assert problems[f"{folder}/deep"] == "cannot be listed (Permission denied)"
    assert [name for name, problem in problems.items() if not problem] == [
        f"{folder}/{n}" for n in ("a.avi", "b.mp4", "walk")
    ]


def test_links_in_circles_end(folder: Path) -> None:
    (folder / "deep" / "round").symlink_to(folder, target_is_directory=True)
    assert len(ids([folder])) == 4


def test_images_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    from specvid.datasets.decode.frame_folder import FrameFolder

    for number in (1, 2, 10):
        Image.fromarray(np.full((8, 8, 3), 10 * number, np.uint8)).save(tmp_path / f"f{number}.png")
    frames = list(FrameFolder(tmp_path).stream(np.arange(3)))
    assert [frame[0, 0, 0] for frame in frames] == [10, 20, 100]


def test_videos_in_any_container_are_found(tmp_path: Path) -> None:
    names = ["a.ivf", "b.mjpeg", "c.nut", "d.y4m", "e.3g2", "f.MXF", "g.hevc"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    found = find_inputs([tmp_path])
    assert found.table["id"].to_pylist() == [f"{tmp_path}/{name}" for name in names] and not found.skipped
