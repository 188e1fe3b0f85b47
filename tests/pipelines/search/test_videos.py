"""Searching for videos and images; the page; the command line."""

import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid.cli import run as command
from specvid.errors import VideoError
from specvid.models import create_model
from specvid.models.weights import save_weights
from specvid.pipelines.embed import EmbedConfig, JobConfig, WindowConfig, embed
from specvid.pipelines.engine.isolated import IsolatedCalls
from specvid.pipelines.networks.config import InputConfig, NetworkConfig
from specvid.pipelines.search.query import search


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("search")
    synthesize_tiny_ucf101(base / "ucf", clips=1)
    save_weights(create_model("r3d_tiny"), base / "w.safetensors")
    network, clips = NetworkConfig(model="r3d_tiny", weights=str(base / "w.safetensors")), InputConfig(4, None, 16, 20)
    for name, windows in (("videos", WindowConfig()), ("windows", WindowConfig(window="sliding", length="4"))):
        config = EmbedConfig(network, input=clips, windows=windows, job=JobConfig(device="cpu", workers=0))
        embed([base / "ucf" / "videos"], base / name, config)
    return base


def test_a_video_finds_itself_first(base: Path) -> None:
    path = str(base / "ucf/videos/Red/v_Red_g02_c01.avi")
    copy = shutil.copy(path, base / "copy.avi")
    answer = search(base / "videos", copy, k=3, device="cpu")
    assert answer.rows[0].columns["id"] == path and answer.rows[0].score == pytest.approx(1, abs=1e-5)
    by_id = search(base / "videos", path, k=2)
    assert [row.columns["id"] for row in by_id.rows] == [row.columns["id"] for row in answer.rows[1:]]
    assert (
        search(base / "windows", copy, k=3, device="cpu").rows[0].columns["id"].startswith(str(base / "ucf/videos/Red"))
    )
    others = search(base / "windows", path, k=100).rows
    assert len(others) == 44 and path not in {
        row.columns["id"] for row in others
    }  # all of its four windows are left out


def test_images_are_searched_for_as_a_folder_or_one_by_one(base: Path) -> None:
    from PIL import Image

    from specvid.datasets.decode import open_video

    (base / "frames").mkdir()
    with open_video(base / "ucf/videos/Blue/v_Blue_g01_c01.avi") as video:
        for number, frame in enumerate(video.frames(range(10))):
            Image.fromarray(frame).save(base / "frames" / f"{number}.png")
    folder = search(base / "videos", str(base / "frames"), k=3, device="cpu")
    assert folder.rows[0].columns["id"].endswith("v_Blue_g01_c01.avi") and folder.rows[0].score > 0.999
    files = [str(base / "frames" / f"{number}.png") for number in range(10)]
    assert search(base / "videos", files, k=3, device="cpu").rows == folder.rows
    one = search(base / "videos", files[:1], k=12, device="cpu")
    assert len(one.rows) == 12
    with pytest.raises(ValueError, match="2 things are searched for at once"):
        search(base / "videos", [files[0], str(base / "frames")], device="cpu")


def test_the_network_must_be_the_same(base: Path) -> None:
    path = str(shutil.copy(base / "ucf/videos/Red/v_Red_g02_c01.avi", base / "other.avi"))
    moved = base / "moved.safetensors"
    (base / "w.safetensors").rename(moved)
    try:
        with pytest.raises(ValueError, match="no such file"):
            search(base / "videos", path, device="cpu")
        assert command(["search", "query", str(base / "videos"), path, "--weights", str(moved), "-k", "1"]) == 0
        save_weights(create_model("r3d_tiny"), base / "w.safetensors")
        with pytest.raises(ValueError, match=r"not the one that made.*--run or --weights"):
            search(base / "videos", path, device="cpu")
    finally:
        moved.rename(base / "w.safetensors")


def test_the_command_line_answers_as_table_json_and_page(base: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(base)
    path = "ucf/videos/Green/v_Green_g03_c01.avi"
    words = ["search", "query", "videos", path, "-k", "3", "--device", "cpu"]
    assert command([*words, "--json", "--html", "page.html"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["rank"] for row in rows] == [1, 2, 3] and rows[0]["columns"]["id"].endswith("v_Green_g03_c01.avi")
    page = Path("page.html").read_text()
    assert len(re.findall(r'<img alt="" src="data:image/jpeg;base64,[\w+/=]{200,}">', page)) == 1 + 3 * 3
    assert (
        page.count("<article>") == 4 and "v_Green_g03_c01.avi" in page and "http" not in page.replace("http-equiv", "")
    )
    assert command([*words, "--where", "path != ''"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["cosine", "time", "span", "id"] and table[-1] == "3 of 12 rows (exact)"
    assert command(["search", "build", "videos", "--index", "hnsw"]) == 0
    assert "recall@10 1.000" in capsys.readouterr().out
    assert command(words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 of 12 rows (hnsw)"
    for wrong, match in (
        ([*words, "--where", "x == 1"], "column 'x' is unknown"),
        (["search", "query", "videos"], "nothing to search for"),
        (["search", "query", "nowhere", path], "holds no embeddings"),
        (["search", "build", "videos", "--index", "ivfpq"], "cannot be trained"),
    ):
        assert command(wrong) == 2
        assert match in capsys.readouterr().err


def test_a_page_stands_without_its_videos(base: Path, tmp_path: Path) -> None:
    from specvid.pipelines.search.found_row import FoundRow
    from specvid.pipelines.search.query import Answer
    from specvid.pipelines.search.report import write_page

    row = {"id": "<b>&", "path": "gone.avi", "start_s": None, "end_s": None}
    row |= {"first_frame": 0, "last_frame": 3, "label": "x<y"}
    write_page(Answer("q", [FoundRow(1, 0.5, row)], "exact", 1), ["q"], tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text()
    assert "no such file" in page and "&lt;b&gt;&amp; frames 0-3" in page and "label: x&lt;y" in page
    assert "<img" not in page


def test_embeddings_are_scored_from_the_command_line(base: Path, capsys) -> None:
    assert command(["eval", "embeddings", str(base / "windows")]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "leave-one-group-out nearest neighbour: 48 rows, 12 groups, 3 classes" in last
    assert command(["eval", "embeddings", str(base / "videos"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 12 and found["accuracy"] >= 0.9 and found["per_class"].keys() == {"Blue", "Green", "Red"}
    assert command(["eval", "embeddings", str(base / "videos"), "--label", "id"]) == 2
    assert command(["eval", "embeddings", str(base / "videos"), "--label", "id", "--group", "pth"]) == 2
    assert "Did you mean 'path'" in capsys.readouterr().err


def die_of(name: str, usual: Any) -> Any:
    """In place of `open_video`: a file of this name kills the process that opens it, as std::bad_alloc does."""

    def open_or_die(path: Any, *arguments: Any, **options: Any) -> Any:
        if str(path).endswith(name):
            os._exit(6)
        return usual(path, *arguments, **options)

    return open_or_die


def test_a_file_that_kills_its_decoder_costs_itself_only(base: Path, tmp_path: Path, monkeypatch) -> None:
    """The query's own, and a row's on the page, whose path the data set names."""
    from specvid.datasets.clips import motion
    from specvid.pipelines.search import report

    deadly = shutil.copy(base / "ucf/videos/Red/v_Red_g02_c01.avi", tmp_path / "deadly.avi")
    monkeypatch.setattr(motion, "open_video", die_of("deadly.avi", motion.open_video))
    with pytest.raises(VideoError, match=r"deadly\.avi: the decoder kills its process, the file is damaged"):
        search(base / "videos", deadly, k=3, device="cpu")
    answer = search(base / "videos", str(base / "ucf/videos/Red/v_Red_g02_c01.avi"), k=3)
    gone = answer.rows[1].columns["path"]
    monkeypatch.setattr(report, "open_video", die_of(Path(gone).name, report.open_video))
    report.write_page(answer, [deadly], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<article>") == 4 and page.count("kills the process that decodes it") == 1
    assert page.count("<img ") == 1 + 2 * 3


def test_isolated_calls(tmp_path: Path) -> None:
    with IsolatedCalls(seconds=0.5) as isolated:
        assert isolated("a", os.path.basename, "x/y") == "y"
        with pytest.raises(VideoError, match="a: kills the process that decodes it"):
            isolated("a", os._exit, 6)
        with pytest.raises(VideoError, match=r"a: gives nothing for 0\.5 s"):
            isolated("a", time.sleep, 60)
        with pytest.raises(VideoError, match="b: no such file"):
            isolated("b", no_such_file, "b")
        assert isolated("a", os.path.basename, "x/z") == "z"


def no_such_file(path: str) -> None:
    raise VideoError(path, "no such file")
