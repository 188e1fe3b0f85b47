"""Data sets that grow: by any lists in any order, killed at any write, with their index."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from synthetic_embeddings import write_embeddings
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid import cli
from specvid.files import write_json
from specvid.models import create_model
from specvid.models.weights.save import save_weights
from specvid.pipelines.embed import EmbedConfig, JobConfig, OutputConfig, WindowConfig, embed, job
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import Rows
from specvid.pipelines.networks.config import InputConfig, NetworkConfig
from specvid.pipelines.search.build import build_index, extend_index
from specvid.pipelines.search.deleting import delete
from specvid.pipelines.search.exact import exact_search, unit_blocks
from specvid.pipelines.search.index import open_index
from specvid.pipelines.search.query import search
from specvid.reading import read_json


def config(*, append: bool = False) -> EmbedConfig:
    return EmbedConfig(
        NetworkConfig(model="r3d_tiny"),
        input=InputConfig(frames=4, stride=1, size=16, resize=20),
        windows=WindowConfig(window="sliding", length="4", every="3"),
        output=OutputConfig(shard_size=3),
        job=JobConfig(device="cpu", workers=0, batch_size=2, append=append),
    )


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = synthesize_tiny_ucf101(tmp_path_factory.mktemp("data") / "tiny", groups=4, clips=1)
    (root / "videos/Red/empty.avi").write_bytes(b"")
    return sorted((root / "videos").rglob("*.avi"))


def rows_of(out: Path) -> list[tuple]:
    table = pq.read_table(out / "embeddings").to_pylist()
    return sorted((row["id"], row["first_frame"], np.float32(row["embedding"]).tobytes()) for row in table)


def files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(videos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "emb"
    outcome = embed(videos, out, config())
    assert (outcome.videos, outcome.failed) == (13, 1)
    return out


def test_settings_count_by_what_they_come_to(videos: list[Path], tmp_path: Path) -> None:
    """The network's own 8 frames are the same clips when they are asked for; 4 are others."""
    own = replace(config(append=True), input=InputConfig(size=16, resize=20))
    frames = create_model("r3d_tiny").input.frames
    embed(videos[:2], tmp_path / "emb", own)
    asked = replace(own, input=InputConfig(frames=frames, size=16, resize=20, interpolation="bilinear"))
    assert embed(videos[2:4], tmp_path / "emb", asked).rows > 0
    other = replace(own, input=InputConfig(frames=frames // 2, size=16, resize=20))
    with pytest.raises(ValueError, match=rf"embedded otherwise \(frames: {frames} -> {frames // 2}\)"):
        embed(videos[4:5], tmp_path / "emb", other)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_lists_in_any_order_give_the_rows_of_one(videos: list[Path], whole: Path, tmp_path: Path, seed: int) -> None:
    rng, out = np.random.default_rng(seed), tmp_path / "grown"
    order = rng.permutation(len(videos))
    for part in np.split(order, np.sort(rng.choice(np.arange(1, len(videos)), 3, replace=False))):
        outcome = embed([videos[i] for i in part], out, config(append=True))
    assert (outcome.rows, outcome.videos, outcome.failed) == (len(rows_of(whole)), 13, 1) and outcome.complete
    assert rows_of(out) == rows_of(whole)
    assert len(read_json(out / "embed.json")["lists"]) == 4
    assert [Path(row["id"]).name for row in pq.read_table(out / "errors.parquet").to_pylist()] == ["empty.avi"]
    before = files(out)
    assert embed(videos, out, config(append=True)).done == 0 and files(out) == before  # all are there
    with pytest.raises(ValueError, match=r"4 lists, which were appended.*add what is new with --append"):
        embed(videos, out, config())


def test_killed_at_any_write_it_ends_with_the_same_bytes(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = videos[:5], videos[3:]
    embed(first, tmp_path / "start", config())
    shutil.copytree(tmp_path / "start", tmp_path / "whole")
    embed(second, tmp_path / "whole", config(append=True))
    wanted = files(tmp_path / "whole")
    assert len([name for name in wanted if name.startswith("embeddings/")]) == 5
    assert all(wanted[name] == content for name, content in files(tmp_path / "start").items() if "part" in name)

    class Killed(BaseException):
        pass

    writes, fatal = 0, 0
    write, write_the_json = Folder.write, write_json

    def count() -> None:
        nonlocal writes
        writes += 1
        if writes == fatal:
            raise Killed

    def killed_write(folder: Folder, target: Path, fill: Any) -> None:
        count()  # before the rename, and so after the write before it
        write(folder, target, fill)

    def killed_json(path: Path, content: Any) -> None:
        count()
        write_the_json(path, content)

    monkeypatch.setattr(Folder, "write", killed_write)
    monkeypatch.setattr(job, "write_json", killed_json)
    kills = 0
    while True:
        out = tmp_path / f"killed{kills}"
        shutil.copytree(tmp_path / "start", out)
        writes, fatal = 0, kills + 1
        try:
            embed(second, out, config(append=True))
            break
        except Killed:
            kills += 1
        writes, fatal = 0, 0
        outcome = embed(second, out, config(append=True))
        assert outcome.complete and files(out) == wanted
    assert kills >= 6  # the list, embed.json, shards, failures, errors, warnings


def test_columns_must_fit(videos: list[Path], tmp_path: Path) -> None:
    def table(name: str, head: str, rows: list[str]) -> Path:
        path = tmp_path / name
        path.write_text("\n".join([head, *rows]) + "\n")
        return path

    out = tmp_path / "emb"
    embed([table("a.csv", "path,n", [f"{videos[0]},1", f"{videos[1]},2"])], out, config())
    with pytest.raises(ValueError, match="column 'm' is not in the data set"):
        embed([table("b.csv", "path,m", [f"{videos[2]},1"])], out, config(append=True))
    with pytest.raises(ValueError, match="column 'n' is string in the list and int64 in the data set"):
        embed([table("c.csv", "path,n", [f"{videos[2]},x"])], out, config(append=True))
    embed([videos[3]], out, config(append=True))
    assert [row["n"] for row in Rows(Folder(out)).take([0, len(Rows(Folder(out))) - 1])] == [1, None]


def grown(folder: Folder, shards: int, shard_size: int) -> None:
    """Let only the first shards of a folder count."""
    metadata = read_json(folder.metadata_file)
    write_json(folder.metadata_file, {**metadata, "inputs": shards * shard_size, "shards": shards})


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivfpq"])
def test_an_index_grows(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, 24))
    vectors = centres[rng.integers(60, size=2400)] + 0.5 * rng.normal(size=(2400, 24))
    folder = write_embeddings(tmp_path / "emb", vectors, shard_size=600)
    grown(folder, 3, 600)
    assert extend_index(folder.path) is None
    build_index(folder.path, kind)
    grown(folder, 4, 600)
    lines: list[str] = []
    about = extend_index(folder.path, echo=lines.append)
    assert about is not None and about["rows"] == 2400 and about["recall@10"] >= 0.95
    assert f"{kind} index: 600 rows more" in lines[-1]
    rows = Rows(folder)
    index = open_index(folder, rows)
    assert index is not None and index.flat.ntotal == 2400
    queries = next(iter(unit_blocks(rows)))[::9]
    truth, found = exact_search(queries, unit_blocks(rows), 10)[1], index.search(queries, 10)[1]
    assert np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(truth, found, strict=True)]) >= 0.95
    again = extend_index(folder.path)
    assert again is not None and again["parts"] == about["parts"]


def test_the_command_line_appends_and_the_index_grows_along(videos: list[Path], tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "emb")
    words = ["--model", "r3d_tiny", "--frames", "4", "--size", "16", "--device", "cpu", "--workers", "0", "--out", out]
    assert cli.run(["embed", *map(str, videos[:4]), *words]) == 0
    assert cli.run(["search", "build", out, "--index", "flat"]) == 0
    assert cli.run(["embed", *map(str, videos[2:6]), *words, "--append"]) == 0
    err = " ".join(capsys.readouterr().err.split())
    assert "appending 2 videos; 2 of the list are there already" in err and "flat index: 2 rows more" in err
    assert cli.run(["search", "query", out, str(videos[0]), "--json", "-k", "9", "--device", "cpu"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 5
    weights = tmp_path / "other.safetensors"
    save_weights(create_model("r3d_tiny"), weights)
    assert cli.run(["embed", str(videos[0]), *words, "--append", "--weights", str(weights)]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert f"was embedded otherwise (weights: '' -> '{weights}'), and vectors of both cannot be compared." in err
    assert "with the same network and options as then, or choose another --out." in err and "--overwrite" not in err
    assert cli.run(["embed", str(videos[0]), *words, "--append", "--overwrite"]) == 2
    assert "append and overwrite exclude each other" in capsys.readouterr().err


def test_deleted_inputs_leave_the_bytes_of_a_set_without_them(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at every write; and shards that are embedded anew do not bring them back."""
    start, names = tmp_path / "start", [str(videos[i]) for i in (1, 4, 5)]
    names.append(next(str(video) for video in videos if video.name == "empty.avi"))  # a failure can be deleted too
    embed(videos, start, config())
    shutil.copytree(start, tmp_path / "whole")
    done = delete(tmp_path / "whole", names)
    assert (done.inputs, done.shards, done.deleted) == (4, 2, 4)
    wanted = files(tmp_path / "whole")
    assert {row[0] for row in rows_of(start)} - {row[0] for row in rows_of(tmp_path / "whole")} == set(names[:3])
    assert not pq.read_table(tmp_path / "whole/errors.parquet").num_rows

    class Killed(BaseException):
        pass

    left, write = 0, Folder.write

    def killed_write(folder: Folder, target: Path, fill: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        write(folder, target, fill)

    monkeypatch.setattr(Folder, "write", killed_write)
    for kills in range(1, 20):
        out = tmp_path / f"killed{kills}"
        shutil.copytree(start, out)
        left = kills
        try:
            delete(out, names)
            break
        except Killed:
            if kills > 1:  # the ids are written down: nothing gives them any more
                assert not {row.columns["id"] for row in search(out, str(videos[0]), k=99).rows} & set(names)
                delete(out)
            else:
                delete(out, names)
        assert files(out) == wanted
    assert kills >= 4
    left = 0
    left_rows = rows_of(tmp_path / "whole")
    for part in (tmp_path / "whole/embeddings").iterdir():
        part.unlink()
    outcome = embed(videos, tmp_path / "whole", config())
    assert rows_of(tmp_path / "whole") == left_rows and (outcome.deleted, outcome.failed) == (4, 0)
    assert embed(videos, tmp_path / "whole", config(append=True)).done == 0
    with pytest.raises(ValueError, match="id 'nobody' is not in"):
        delete(tmp_path / "whole", ["nobody"])


def test_a_deletion_that_was_killed_before_the_index_is_searched_row_by_row(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 8))
    folder = write_embeddings(tmp_path / "emb", vectors, shard_size=20)
    build_index(folder.path, "flat")
    assert search(folder.path, "n5", k=3).method == "flat"
    (folder.path / ".writing").mkdir(exist_ok=True)
    (folder.path / ".writing/part-000001.host.1.parquet").write_bytes(b"half")  # of one that was killed
    delete(folder.path, ["n30"])  # and the command would now build the index anew
    assert not list((folder.path / ".writing").glob("*"))
    answer = search(folder.path, "n5", k=59)
    assert (answer.method, len(answer.rows)) == ("exact", 58) and "n30" not in [
        row.columns["id"] for row in answer.rows
    ]
    write_embeddings(tmp_path / "other", vectors[:40], shard_size=20)
    shutil.copytree(folder.path / "index", tmp_path / "other/index")
    with pytest.raises(ValueError, match="of other embeddings"):
        search(tmp_path / "other", "n5")


def test_deletion_by_filter_and_the_index(tmp_path: Path, capsys) -> None:
    vectors = np.random.default_rng(0).normal(size=(400, 8))
    folder = write_embeddings(tmp_path / "emb", vectors, columns={"n": np.arange(400) % 5}, shard_size=150)
    build_index(folder.path, "hnsw")
    assert cli.run(["embed", "delete", str(folder.path), "n7", "--where", "n == 3"]) == 0
    printed = capsys.readouterr()
    assert "81 inputs deleted, 81 rows out of 3 shards; 81 deleted in all" in printed.out
    assert "hnsw index of 319 rows built anew" in " ".join(printed.err.split())
    answer = search(folder.path, "n0", k=400)
    assert len(answer.rows) == 318 and answer.method == "hnsw" and all(row.columns["n"] != 3 for row in answer.rows)
    assert cli.run(["embed", "delete", str(folder.path), "n399x"]) == 2


@pytest.mark.slow
def test_a_hundred_thousand_rows_grow_in_seconds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2000, 64))
    vectors = (centres[rng.integers(2000, size=101_000)] + 0.5 * rng.normal(size=(101_000, 64))).astype(np.float32)
    folder = write_embeddings(tmp_path / "emb", vectors, shard_size=1000)
    grown(folder, 100, 1000)
    built = build_index(folder.path, "hnsw")
    grown(folder, 101, 1000)
    lines: list[str] = []
    about = extend_index(folder.path, echo=lines.append)
    print(f"built in {built['build_seconds']} s, recall {built['recall@10']:.3f};", lines[-1])
    assert about is not None and about["recall@10"] >= 0.95
