"""Best rows of groups, several data sets searched together, duplicates, answers as clips."""

import json
from pathlib import Path

import numpy as np
import pytest
from colour_films import FPS, write_film
from synthetic_embeddings import write_embeddings

from specvid import cli, open_video
from specvid.pipelines.search.build import build_index
from specvid.pipelines.search.duplicates import find_duplicates
from specvid.pipelines.search.exact import unit
from specvid.pipelines.search.query import search


def rows_of(count: int, dim: int = 8, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


@pytest.mark.parametrize("kind", ["", "hnsw"])
@pytest.mark.parametrize("where", ["", "number >= 50"])
def test_the_best_row_of_each_group(tmp_path: Path, kind: str, where: str) -> None:
    """Against a slow form; the nearest 200 rows are all of one group, so the search has to go on."""
    vectors = rows_of(600)
    vectors[:200] = vectors[0] + 0.01 * rows_of(200, seed=1)
    groups = np.array(["one"] * 200 + [f"g{i % 37}" for i in range(400)])
    columns = {"group": groups, "number": np.arange(600)}
    folder = write_embeddings(tmp_path / "emb", vectors, columns=columns, shard_size=150)
    if kind:
        build_index(folder.path, kind, recall=1.0)
    cosines = unit(vectors) @ unit(vectors[:1])[0]
    wanted: dict[str, int] = {}
    for row in np.argsort(-cosines, kind="stable"):
        if row != 0 and (not where or row >= 50):
            wanted.setdefault(groups[row], int(row))
    answer = search(folder.path, "n0", k=10, where=where, group_by="group")
    assert [row.columns["id"] for row in answer.rows] == [f"n{row}" for row in wanted.values()][:10]
    everything = search(folder.path, "n0", k=1000, where=where, group_by="group")
    assert len(everything.rows) == len(wanted) == 38
    with pytest.raises(ValueError, match="column 'grup' is unknown"):
        search(folder.path, "n0", group_by="grup")


def test_several_sets_answer_as_one(tmp_path: Path, capsys) -> None:
    vectors = rows_of(300)
    whole = write_embeddings(tmp_path / "whole", vectors)
    parts = []
    for number, part in enumerate(np.split(np.arange(300), [100, 130])):
        names = [f"n{row}" for row in part]
        columns = {"label": ["x"] * len(part)} if number == 1 else {}
        parts.append(write_embeddings(tmp_path / f"part{number}", vectors[part], ids=names, columns=columns).path)
    build_index(parts[2], "flat")
    for query in ("n3", "n120"):
        one, many = search(whole.path, query, k=20), search(parts[0], query, k=20, also=parts[1:])
        assert [row.columns["id"] for row in many.rows] == [row.columns["id"] for row in one.rows]
        assert [row.score for row in many.rows] == pytest.approx([row.score for row in one.rows], abs=1e-6)
        assert {row.data_set for row in many.rows} == set(map(str, parts)) and many.rows_searched == 300
        assert {row.columns["label"] for row in many.rows} == {"x", None}
    assert cli.run(["search", "query", str(parts[0]), "n3", "--also", *map(str, parts[1:])]) == 0
    printed = capsys.readouterr().out
    assert "10 of 300 rows (exact and flat)" in printed and printed.split()[3:5] == ["data", "set"]
    other = write_embeddings(tmp_path / "other", rows_of(10, 4))
    with pytest.raises(ValueError, match="were not made by one network"):
        search(whole.path, "n3", also=[other.path])


def test_groups_by_a_column_of_lists(tmp_path: Path) -> None:
    columns = {"tags": [["a"], ["a"], ["b"], None, None, ["a"]]}
    folder = write_embeddings(tmp_path, rows_of(6), columns=columns)
    found = search(folder.path, "n0", k=9, group_by="tags").rows
    assert sorted(map(repr, (row.columns["tags"] for row in found))) == ["None", "None", "['a']", "['b']"]


def test_json_has_no_number_that_it_cannot_have(tmp_path: Path, capsys) -> None:
    columns = {"odd": [float("nan"), float("inf"), 1.0], "more": [[float("-inf")], [], None]}
    folder = write_embeddings(tmp_path, rows_of(3), columns=columns)
    assert cli.run(["search", "query", str(folder.path), "n2", "--json"]) == 0

    def refuse(name: str) -> None:
        raise ValueError(name)

    rows = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert {row["columns"]["odd"] for row in rows} == {"nan", "inf"}


def test_columns_may_have_any_names(tmp_path: Path, capsys) -> None:
    """Those of the search's own figures too, which they replaced."""
    vectors = rows_of(20)
    columns = {"score": [36.6] * 20, "rank": ["first"] * 20, "folder": ["mine"] * 20, "data_set": ["x"] * 20}
    folders = []
    for number, part in enumerate(np.split(np.arange(20), [12])):
        own = {name: values[: len(part)] for name, values in columns.items()}
        names = [f"n{row}" for row in part]
        folders.append(write_embeddings(tmp_path / str(number), vectors[part], ids=names, columns=own).path)
    cosines = unit(vectors) @ unit(vectors[:1])[0]
    best = int(np.argsort(-cosines)[1])
    (row,) = search(folders[0], "n0", k=1, also=folders[1:]).rows
    assert (row.rank, row.columns["id"]) == (1, f"n{best}") and row.score == pytest.approx(cosines[best], abs=1e-5)
    assert row.data_set == str(folders[best >= 12]) and {row.columns[name] for name in columns} == {
        36.6,
        "first",
        "mine",
        "x",
    }
    words = ["search", "query", str(folders[0]), "n0", "-k", "1"]
    assert cli.run([*words, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["rank"] == 1 and found["score"] <= 1 and found["columns"]["score"] == 36.6
    assert cli.run([*words, "--html", str(tmp_path / "page.html")]) == 0
    assert f"{found['score']:.4f}" in capsys.readouterr().out
    assert f"1. {found['columns']['id']}" in (page := (tmp_path / "page.html").read_text()) and "rank: first" in page
    (group, *_) = find_duplicates(folders[0], threshold=-0.99).groups
    assert all(row.score <= 1.001 and row.columns["score"] == 36.6 for row in group)


def test_duplicates(tmp_path: Path, capsys) -> None:
    vectors = rows_of(5000, 16)
    vectors[4000] = 3 * vectors[7]
    vectors[4999] = vectors[4000] + 1e-4
    vectors[21] = vectors[20]
    vectors[31] = vectors[30]  # two windows of one video
    ids = [f"n{row}" for row in range(5000)]
    folder = write_embeddings(tmp_path / "emb", vectors, ids=ids, columns={"n": np.arange(5000)}, shard_size=900)
    same_id = [*ids[:31], "n30", *ids[32:]]
    twice = write_embeddings(tmp_path / "twice", vectors, ids=same_id)
    for path, wanted in (
        (folder.path, [["n7", "n4000", "n4999"], ["n20", "n21"], ["n30", "n31"]]),
        (twice.path, [["n7", "n4000", "n4999"], ["n20", "n21"]]),
    ):
        found = find_duplicates(path, threshold=0.999)
        assert [[row.columns["id"] for row in group] for group in found.groups] == wanted and found.rows == 5000
        assert all(row.score > 0.999 for group in found.groups for row in group)
    only = find_duplicates(folder.path, threshold=0.999, where="n < 4000")
    assert [[row.columns["id"] for row in group] for group in only.groups] == [["n20", "n21"], ["n30", "n31"]]
    assert cli.run(["search", "duplicates", str(folder.path), "--threshold", "0.999"]) == 0
    out = capsys.readouterr().out
    assert "n4999" in out and out.endswith("3 groups among 5,000 rows\n")
    assert cli.run(["search", "duplicates", str(folder.path), "--threshold", "0.999", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3
    assert cli.run(["search", "duplicates", str(folder.path), "--threshold", "2"]) == 2
    assert "threshold 2.0 must be a cosine" in capsys.readouterr().err


def test_answers_as_clips(tmp_path: Path, capsys) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for name in ("Blue", "Red"):
        write_film(films / f"{name}.mp4", 50, [(name, 20, 40)])
    out, clips = tmp_path / "emb", tmp_path / "clips"
    words = ["--window", "sliding", "--length", "2s", "--every", "1s", "--device", "cpu", "--workers", "0"]
    assert cli.run(["embed", str(films), "--model", "r3d_tiny", "--frames", "4", "--out", str(out), *words]) == 0
    capsys.readouterr()
    query = [
        "search",
        "query",
        str(out),
        str(films / "Red.mp4"),
        "--device",
        "cpu",
        "-k",
        "3",
        "--where",
        "start_s < 60",
    ]
    assert cli.run([*query, "--cut", str(clips), "--json"]) == 0
    printed = capsys.readouterr()
    rows = [row["columns"] for row in json.loads(printed.out)]
    assert f"3 clips in {clips}" in " ".join(printed.err.split())
    assert sorted(file.name for file in clips.iterdir()) == [
        f"{rank}_{Path(c['path']).stem}_{c['first_frame']}-{c['last_frame']}.mp4"
        for rank, c in enumerate(rows, start=1)
    ]
    for row, file in zip(rows, sorted(clips.iterdir()), strict=True):
        with open_video(row["path"]) as film, open_video(file) as clip:
            assert len(clip) == row["last_frame"] - row["first_frame"] + 1 and clip.fps == pytest.approx(FPS)
            wanted = film.frames(range(row["first_frame"], row["last_frame"] + 1)).astype(int)
            assert np.abs(clip.frames(range(len(clip))) - wanted).mean() < 12  # encoded twice
    (films / "Blue.mp4").unlink()
    assert cli.run([*query, "--cut", str(clips)]) == 1
    assert "not cut: " in capsys.readouterr().err
