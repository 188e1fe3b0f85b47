"""A data set of embeddings in LanceDB: every row and every column."""

import sys
from pathlib import Path

import numpy as np
import pytest
from synthetic_embeddings import write_embeddings

from specvid.cli import run as command
from specvid.pipelines.embed.rows import Rows


def test_every_row_and_column_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lancedb = pytest.importorskip("lancedb", reason="lancedb is not installed: pip install 'specvid[lancedb]'")
    vectors = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    columns = {"label": ["<b>é</b>", None] * 6, "camid": [*range(12)]}
    folder = write_embeddings(tmp_path / "emb", vectors, columns=columns, shard_size=5)
    words = ["embed", "export", str(folder.path), "--to", "lancedb", "--out", str(tmp_path / "db")]
    assert command(words) == 0
    assert "12 rows in table embeddings" in capsys.readouterr().out
    table = lancedb.connect(str(tmp_path / "db")).open_table("embeddings")
    rows = Rows(folder)
    found = table.to_arrow()
    assert found.schema.names == rows.schema.names
    own = rows.take(range(12), rows.schema.names)
    assert sorted(found.to_pylist(), key=lambda row: row["camid"]) == own
    (nearest,) = table.search(vectors[7], vector_column_name="embedding").limit(1).to_list()
    assert nearest["id"] == "n7"
    assert command(words) == 2
    assert "is there already" in capsys.readouterr().err


def test_without_lancedb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_embeddings(tmp_path / "emb", np.eye(3))
    monkeypatch.setitem(sys.modules, "lancedb", None)
    assert command(["embed", "export", str(folder.path), "--out", str(tmp_path / "db")]) == 2
    assert "Run `pip install 'specvid[lancedb]'`" in capsys.readouterr().err
    assert not (tmp_path / "db").exists()
