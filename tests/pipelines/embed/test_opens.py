"""The data set opens as it is in pandas, DuckDB, Hugging Face `datasets` and LanceDB, where they are installed."""

from pathlib import Path

import numpy as np
import pytest
from synthetic_embeddings import write_embeddings

from specvid.pipelines.embed.folder import Folder

VECTORS = np.random.default_rng(0).normal(size=(300, 24)).astype(np.float16).astype(np.float32)
CAMERAS = np.arange(300) % 7
NEAREST_7 = np.argsort(-(VECTORS @ VECTORS[7]) / np.linalg.norm(VECTORS, axis=1), kind="stable")[:5].tolist()


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Three shards with a carried column."""
    out = tmp_path_factory.mktemp("emb") / "with space"
    return write_embeddings(out, VECTORS, columns={"camid": CAMERAS}, shard_size=120, dtype=request.param)


def check(ids: list[str], embeddings: object, cameras: object) -> None:
    order = np.array([int(name.removeprefix("n")) for name in ids])
    assert sorted(order.tolist()) == list(range(300))
    assert np.array_equal(np.stack([np.asarray(row, np.float32) for row in embeddings]), VECTORS[order])  # type: ignore
    assert np.array_equal(np.asarray(cameras), CAMERAS[order])


def test_pandas(folder: Folder) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.read_parquet(folder.path / "embeddings")
    check(table["id"].tolist(), table["embedding"].tolist(), table["camid"])


def test_duckdb(folder: Folder) -> None:
    duckdb = pytest.importorskip("duckdb")
    parts = str(folder.embeddings / "*.parquet").replace("'", "''")
    rows = duckdb.sql(f"select id, embedding, camid from '{parts}'").fetchall()
    check(*zip(*rows, strict=True))
    asked = f"(select embedding::float[24] from '{parts}' where id = 'n7')"
    found = duckdb.sql(
        f"select id from '{parts}' order by array_cosine_similarity(embedding::float[24], {asked}) desc limit 5"
    )
    assert [name for (name,) in found.fetchall()] == [f"n{row}" for row in NEAREST_7]


def test_hugging_face_datasets(folder: Folder, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    if not hasattr(datasets, "load_dataset"):  # `python -m pytest` at the root finds our folder of that name
        pytest.skip("Hugging Face datasets is not installed, or hidden by the current folder: use `pytest`")
    parts = str(folder.embeddings / "*.parquet")
    data = datasets.load_dataset("parquet", data_files=parts, split="train", cache_dir=str(tmp_path))
    check(list(data["id"]), list(data["embedding"]), list(data["camid"]))


def test_lancedb(folder: Folder, tmp_path: Path) -> None:
    """The recipe of docs/embeddings.md."""
    lancedb = pytest.importorskip("lancedb", exc_type=ImportError)
    import pyarrow.dataset as ds
    from lancedb.index import IvfPq

    data = ds.dataset(folder.embeddings)
    table = lancedb.connect(tmp_path / "videos.lance").create_table("videos", data.to_batches(), schema=data.schema)
    rows = table.to_arrow()
    check(rows["id"].to_pylist(), rows["embedding"].to_pylist(), rows["camid"])
    table.create_index("embedding", config=IvfPq(distance_type="cosine"))
    found = table.search(VECTORS[7], vector_column_name="embedding").distance_type("cosine").nprobes(20).limit(5)
    assert found.to_list()[0]["id"] == "n7"
