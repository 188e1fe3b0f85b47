"""What `eval reid` wrote can be searched by the names of its tracklets."""

import json
from pathlib import Path

import numpy as np
import pytest

from specvid import cli
from specvid.eval.reid.features import ReidFeatures
from specvid.eval.reid.files import save_features
from specvid.pipelines.search.query import search


def written(path: Path) -> np.ndarray:
    """Five gallery tracklets, of which one asks, and a query of its own; returns all six features."""
    matrix = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    save_features(
        path,
        ReidFeatures(
            query=matrix[[2, 5]],
            gallery=matrix[:5],
            query_ids=np.array(["0022", "0007"]),
            gallery_ids=np.array(["0001", "0001", "0022", "0022", "0007"]),
            query_cams=np.array([1, 3]),
            gallery_cams=np.array([1, 2, 1, 2, 2]),
            query_index=np.array([2, -1]),
            query_names=np.array(["c", "f"]),
            gallery_names=np.array(list("abcde")),
        ),
    )
    return matrix


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
def test_features_of_eval_reid(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"features{suffix}"
    matrix = written(path)
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    answer = search(path, "c", k=5)
    order = [i for i in np.argsort(-unit @ unit[2], kind="stable").tolist() if i != 2]
    assert [row.columns["id"] for row in answer.rows] == ["abcdef"[i] for i in order]
    np.testing.assert_allclose([row.score for row in answer.rows], (unit @ unit[2])[order], atol=1e-5)
    names = ("identity", "camera", "is_query", "in_gallery")
    kinds = {row.columns["id"]: tuple(row.columns[name] for name in names) for row in answer.rows}
    assert kinds["d"] == ("0022", 2, False, True) and kinds["f"] == ("0007", 3, True, False)
    other = search(path, "c", k=5, where="camera != 1 and in_gallery")
    assert {row.columns["id"] for row in other.rows} == {"b", "d", "e"}


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "features.parquet")
    file = str(tmp_path / "features.parquet")
    assert cli.run(["search", "query", file, "f", "-k", "2"]) == 0
    out = capsys.readouterr().out
    assert "2 of 6 rows (exact)" in out and "None" not in out
    assert cli.run(["search", "query", file, "f", "--json", "--html", str(tmp_path / "page.html")]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 5
    (tmp_path / "some.mp4").write_bytes(b"")
    assert cli.run(["search", "query", file, str(tmp_path / "some.mp4")]) == 2
    assert "knows no network, so files and words cannot be searched for in it" in capsys.readouterr().err


def test_features_need_no_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "features.parquet")
    assert cli.run(["search", "build", str(tmp_path / "features.parquet")]) == 2
    assert "is a file, and an index stands in a folder" in (said := capsys.readouterr().err)
    assert "`specvid search query FILE ID` compares with every row" in said
    for verb in (["build"], ["query"]):
        assert cli.run(["search", *verb, str(tmp_path), *(["c"] if verb == ["query"] else [])]) == 2
        assert "features.parquet' to `specvid search query`" in capsys.readouterr().err
