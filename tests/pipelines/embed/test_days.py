"""Data sets to which a day at a time is added: from folders of their own, of tables as `tools.data.tracks` has them."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from synthetic_videos import numbered_frame, write_video

from specvid.files import write_json
from specvid.pipelines.browse.sets import BrowsedSet
from specvid.pipelines.embed import EmbedConfig, JobConfig, OutputConfig, embed, job
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.row_files import RowFiles
from specvid.pipelines.embed.shards import write_shard
from specvid.pipelines.networks.config import InputConfig, NetworkConfig
from specvid.pipelines.search.cutting import cut_clips
from specvid.pipelines.search.query import search
from specvid.reading import read_json
from specvid.tools.data.tracks import write_table

DAYS = ("mon", "tue")


def config(*, append: bool = True, shard_size: int = 512) -> EmbedConfig:
    return EmbedConfig(
        NetworkConfig(model="r3d_tiny"),
        input=InputConfig(frames=2, stride=1, size=16, resize=16),
        output=OutputConfig(shard_size=shard_size),
        job=JobConfig(device="cpu", workers=0, batch_size=2, append=append),
    )


def rows_of(out: Path) -> dict[str, dict]:
    return {row["id"]: row for row in pq.read_table(out / "embeddings").to_pylist()}


def table_of(
    folder: Path, camera: str, crops: Sequence[int], *, fps: float = 10.0, seed: int = 0, tag: str = ""
) -> Path:
    """A camera's table, a track of so many crops for each number."""
    rng, rows = np.random.default_rng(seed), []
    for track, count in enumerate(crops, start=1):
        for frame in range(count):
            path = folder / f"{camera}/{track}/{frame:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(path)
            time = frame / fps if fps else None
            rows.append({"path": str(path.relative_to(folder)), "track": f"{tag}{track}", "frame": frame, "time": time})
    table = folder / f"{camera}.csv"
    write_table(table, rows, camera=camera)
    return table


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """Two days with files and tables of the same names, and other content."""
    root = tmp_path / "days"
    for number, day in enumerate(DAYS):
        table_of(root / day / "tracks", "door", [3, 2], seed=number)
        table_of(root / day / "tracks", f"door-{day}", [2], seed=number)
        frames = [numbered_frame(400 * number + i) for i in range(4)]
        write_video(root / day / "door.mp4", frames)
        shutil.copy(root / day / "door.mp4", root / day / f"{day}.mp4")
    return root


@pytest.mark.parametrize("name", ["tracks/door.csv", "door.mp4"])
def test_the_same_names_in_another_folder_are_other_files(
    days: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Tuesday's were taken for Monday's, and lost without a word."""
    monkeypatch.chdir(days / "mon")
    embed([name], "../people", config())
    for append in (True, False):
        monkeypatch.chdir(days / "tue")
        with pytest.raises(ValueError, match=r"stands for two inputs that differ, '.*days/mon/.*days/tue/.*"):
            embed([name], "../people", config(append=append))
        monkeypatch.chdir(days / "mon")
        assert embed([name], "../people", config(append=append)).done == 0
    assert set(read_json(days / "people/embed.json")["relative_to"][0]) == {"folder", "from_set", "set"}


def test_the_same_files_are_the_same_however_they_are_named(days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(days / "mon")
    embed(["tracks/door.csv"], "../people", config())
    before = rows_of(days / "people")
    (days / "today").symlink_to("mon")
    monkeypatch.chdir(days)
    for table in ("mon/tracks/door.csv", str(days / "mon/tracks/door.csv"), "today/tracks/door.csv"):
        lines: list[str] = []
        assert embed([table], "people", config(), echo=lines.append).done == 0
        assert "appending 0 tracklets; 2 of the list are there already" in lines
        assert embed([table], "people", config(append=False)).done == 0
    assert rows_of(days / "people") == before and before["door-1/door/1"]["path"] == "tracks/door/1/000000.png"


def test_what_was_moved_is_still_known(days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The set alone, and all of it."""
    monkeypatch.chdir(days / "mon")
    embed(["door.mp4"], "../people", config())
    (days / "people").rename(days.parent / "people")
    assert embed(["door.mp4"], days.parent / "people", config()).done == 0
    (days.parent / "people").rename(days / "people")
    moved = days.rename(days.parent / "moved")
    monkeypatch.chdir(moved / "mon")
    assert embed(["door.mp4"], "../people", config()).done == 0
    monkeypatch.chdir(moved / "tue")
    with pytest.raises(ValueError, match=r"differ, '.*moved/mon/door.mp4' there and '.*moved/tue/door.mp4' here"):
        embed(["door.mp4"], "../people", config())


def test_a_set_that_moved_with_its_files_is_known_though_some_are_gone(
    days: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(days / "mon")
    embed(["door.mp4", "mon.mp4"], "people", config())
    moved = days.rename(days.parent / "moved")
    (moved / "mon/door.mp4").unlink()
    monkeypatch.chdir(tmp_path)
    answer = search(moved / "mon/people", str(moved / "tue/door.mp4"), k=9, device="cpu")
    assert {row.file for row in answer.rows} == {str(moved / "mon/mon.mp4"), str(moved / "mon/door.mp4")}


def test_a_copy_has_the_files_beside_it(days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its original still stands. A set that is moved alone stays with its own files, whatever lies beside it."""
    monkeypatch.chdir(days / "mon")
    embed(["door.mp4"], "people", config())
    copy = days.parent / "copy"
    shutil.copytree(days, copy)
    monkeypatch.chdir(copy / "mon")
    assert embed(["door.mp4"], "people", config()).done == 0
    shutil.copy("mon.mp4", "new.mp4")
    assert embed(["door.mp4", "new.mp4"], "people", config()).done == 1
    assert {row.file for row in search("people", "../tue/door.mp4", k=9, device="cpu").rows} == {"door.mp4", "new.mp4"}
    shutil.rmtree(copy / "tue/people", ignore_errors=True)
    (days / "mon/people").rename(days / "tue/people")
    monkeypatch.chdir(days / "tue")
    with pytest.raises(ValueError, match=r"differ, '.*mon/door.mp4' there and '.*tue/door.mp4' here"):
        embed(["door.mp4"], "people", config())


def test_a_search_alone_reads_no_list_of_inputs(days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(days / "mon")
    embed(["door.mp4", "mon.mp4"], "../people", config())
    (days / "people/inputs.parquet").write_bytes(b"")
    assert len(search(days / "people", "../tue/door.mp4", k=2, device="cpu").rows) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
def test_names_that_are_no_text_open(days: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(days / "mon")
    name = os.fsdecode(b"tw\xffo.mp4")
    shutil.copy("mon.mp4", name)
    embed([name], "people", config())
    (row,) = search("people", "../tue/door.mp4", k=1, device="cpu").rows
    assert os.fsencode(row.file) == b"tw\xffo.mp4"
    assert len(cut_clips([row], tmp_path / "cut")[0]) == 1


def test_what_is_missing_is_read_where_its_list_was_given(days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that was killed goes on from another folder, with the files that it began with, and others."""
    both = [days / f"{day}/tracks/door-{day}.csv" for day in DAYS]
    embed(both, days / "wanted", config())
    one_more = [days / "mon/tracks/door.csv", *both]
    embed(one_more, days / "wanted", config())

    class Killed(BaseException):
        pass

    def kill(folder: Folder, shard: int, *rest: object) -> None:
        if shard:
            raise Killed
        write_shard(folder, shard, *rest)

    monkeypatch.chdir(days / "mon")
    monkeypatch.setattr(job, "write_shard", kill)
    with pytest.raises(Killed):
        embed(["tracks/door.csv", "tracks/door-mon.csv"], "../people", config(shard_size=1))
    monkeypatch.setattr(job, "write_shard", write_shard)
    monkeypatch.chdir(days / "tue")
    outcome = embed(["tracks/door-tue.csv"], "../people", config(shard_size=1))
    assert (outcome.done, outcome.failed, outcome.complete) == (3, 0, True)
    wanted = {name: row["embedding"] for name, row in rows_of(days / "wanted").items()}
    assert {name: row["embedding"] for name, row in rows_of(days / "people").items()} == wanted


def test_rows_open_from_anywhere(days: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What shows or cuts answers finds the files of both days."""
    for day in DAYS:
        monkeypatch.chdir(days / day)
        embed([f"{day}.mp4", f"tracks/door-{day}.csv"], "../people", config())
    for place in (days, days / "mon"):
        monkeypatch.chdir(place)
        answer = search(days / "people", "mon.mp4", k=9, device="cpu")
        paths = {row.columns["path"]: row.file for row in answer.rows}
        assert Path(paths["tue.mp4"]).samefile(days / "tue/tue.mp4")
        files, problems = cut_clips([row for row in answer.rows if row.columns["path"] == "tue.mp4"], tmp_path / "cut")
        assert len(files) == 1 and not problems
        found = BrowsedSet(days / "people").files
        assert found.files("tue.mp4", "tue.mp4") == [str(days / "tue/tue.mp4")]
        assert [Path(file).exists() for file in found.files("door-tue-1/door-tue/1", "")] == [True, True]
        assert Path(found.path("mon.mp4", "mon.mp4")).samefile(days / "mon/mon.mp4")


def test_sets_of_before_are_relative_to_the_current_folder(days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing says which one it was: that is said, and their columns without values, of no type, stay as they are."""
    monkeypatch.chdir(days / "mon")
    table = days / "mon/tracks/early.csv"
    table.write_text("path,track,from_s\ndoor/1/000000.png,9,\ndoor/1/000001.png,9,\n")
    embed(["tracks/early.csv"], "../old", config())
    metadata = read_json(days / "old/embed.json")
    del metadata["relative_to"]
    write_json(days / "old/embed.json", metadata)
    for file in (days / "old/inputs.parquet", days / "old/embeddings/part-000000.parquet"):
        old = pq.read_table(file)
        place = old.column_names.index("from_s")
        pq.write_table(old.set_column(place, "from_s", pa.nulls(len(old))), file)
    lines: list[str] = []
    assert embed(["tracks/early.csv"], "../old", config(append=False)).done == 0
    assert embed(["tracks/early.csv", "tracks/door-mon.csv"], "../old", config(), echo=lines.append).done == 1
    assert any("which folder its relative paths belong to the data set does not say" in line for line in lines)
    assert any("does not have" in line and "from_s" in line and "left out" in line for line in lines)
    assert read_json(days / "old/embed.json")["relative_to"][0] is None
    assert RowFiles(Folder("../old")).path("9", "tracks/door/1/000000.png") == "tracks/door/1/000000.png"
    write_json(days / "old/embed.json", read_json(days / "old/embed.json") | {"relative_to": [None, {"folder": 3}]})
    with pytest.raises(ValueError, match=r"embed.json: relative_to is .* for each list of the 2"):
        embed(["door.mp4"], "../old", config())


@pytest.mark.parametrize("counts", [([3, 2], [1, 1]), ([1, 1], [3, 2])])
def test_days_of_single_crops_are_added_in_any_order(tmp_path: Path, counts: tuple[list[int], list[int]]) -> None:
    """Where each track has one crop, its frame is one value a track, and came along as a column: it was refused."""
    tables = [
        table_of(tmp_path / day, f"door-{day}", number, seed=sum(number))
        for day, number in zip(DAYS, counts, strict=True)
    ]
    lines: list[str] = []
    for table in tables:
        embed([table], tmp_path / "people", config(), echo=lines.append)
    embed(tables, tmp_path / "whole", config())
    grown, whole = rows_of(tmp_path / "people"), rows_of(tmp_path / "whole")
    assert len(grown) == 4 and {name: row | {"frame": 0} for name, row in grown.items()} == {
        name: row | {"frame": 0} for name, row in whole.items()
    }
    assert ("the data set does not have frame: left out of the rows of these crops" in lines) == (counts[0] == [3, 2])


def test_crops_are_added_to_videos(days: Path) -> None:
    """Their columns, which the set of videos cannot take, are left out and named; `files` is none of the user's."""
    lines: list[str] = []
    embed([days / "mon/door.mp4"], days / "set", config())
    outcome = embed([days / "mon/tracks/door.csv"], days / "set", config(), echo=lines.append)
    assert (outcome.done, outcome.failed) == (2, 0)
    assert "the data set does not have pid, camid, track, from_s, to_s: left out of the rows of these crops" in lines
    embed([days / "mon/tracks/door.csv"], days / "crops", config())
    assert rows_of(days / "set")["door-1/door/1"]["embedding"] == rows_of(days / "crops")["door-1/door/1"]["embedding"]
    embed([days / "mon/door.mp4"], days / "crops", config())
    embed([days / "mon/door.mp4", days / "mon/tracks/door.csv"], days / "whole", config())
    assert rows_of(days / "crops") == rows_of(days / "whole")
    (days / "videos.csv").write_text("path,label\ntue/door.mp4,run\n")
    with pytest.raises(ValueError, match=r"column 'label' is not in the data set.*leave it out of the list"):
        embed([days / "videos.csv", days / "tue/tracks/door-tue.csv"], days / "set", config())


@pytest.mark.parametrize("rates", [(0.0, 10.0), (10.0, 0.0)])
def test_tables_with_and_without_times(tmp_path: Path, rates: tuple[float, float]) -> None:
    tables = [
        table_of(tmp_path / day, f"door-{day}", [2], fps=fps, tag=f"{day}-")
        for day, fps in zip(DAYS, rates, strict=True)
    ]
    for table in tables:
        embed([table], tmp_path / "people", config())
    embed(tables, tmp_path / "whole", config())
    assert rows_of(tmp_path / "people") == rows_of(tmp_path / "whole")
    times = {row["camid"]: row["to_s"] for row in rows_of(tmp_path / "people").values()}
    assert times == {f"door-{day}": 0.1 if fps else None for day, fps in zip(DAYS, rates, strict=True)}
    assert pq.read_schema(tmp_path / "people/embeddings/part-000000.parquet").field("from_s").type == pa.float64()


def test_a_column_that_is_empty_takes_text_later(days: Path) -> None:
    for day, label in zip(DAYS, ("", "run"), strict=True):
        (days / f"{day}.csv").write_text(f"path,label,id\n{day}/door.mp4,{label},{day}\n")
        embed([days / f"{day}.csv"], days / "set", config())
    assert [row["label"] for row in rows_of(days / "set").values()] == [None, "run"]
