"""Tables of others with a column of every type of Arrow: each is read, or refused by a short `ValueError`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from specvid import memory
from specvid.datasets.layouts.table import read_table_set
from specvid.eval.reid.files import load_features
from specvid.pipelines.embed.inputs import find_inputs

PATHS = ["a.avi", "b.avi"]
ODD: dict[str, Any] = {
    "numbers": [1, 2],
    "fractions": [float("nan"), 1e300],
    "flags": [True, False],
    "nothing": pa.nulls(2),
    "lists": [["a"], ["b"]],
    "deep lists": [[[[[["a"]]]]], [[[[["b"]]]]]],
    "maps": pa.array([[("a", 1)], [("b", 2)]], pa.map_(pa.string(), pa.int64())),
    "structs": [{"a": 1}, {"a": 2}],
    "bytes": [b"\xff\x00", b"b"],
    "codes": pa.array(PATHS).dictionary_encode(),
    "large text": pa.array(PATHS, pa.large_string()),
    "views": pa.array(PATHS, pa.string_view()),
    "decimals": pa.array([1, 2]).cast(pa.decimal128(38, 10)),
    "spans": pa.array([1, 2], pa.duration("ns")),
    "dates": pa.array([2**31 - 1, -(2**31)], pa.date32()),
    "times": pa.array([2**62, -(2**62)], pa.timestamp("ms")),
    "long text": ["x" * 2_000_000, "y"],
    "control": ["a\0b\n\x1b[31m", "../../../etc/passwd"],
    "empty": ["", ""],
}
CLIPS = {"path": PATHS, "label": ["x", "y"]}
FEATURES = {"feature": [[1.0], [2.0]], "id": [1, 1], "camera": [1, 2], "is_query": [True, False]}
READERS: dict[str, tuple[Callable[[Path], object], dict[str, Any], tuple[str, ...]]] = {
    "clips": (read_table_set, CLIPS, ("start_s", "end_s", "weight", "group", "set", "other")),
    "inputs": (lambda path: find_inputs([path]), CLIPS, ("id", "other")),
    "features": (load_features, FEATURES, ("in_gallery", "name", "query_order", "other")),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("reader", READERS)
def test_columns_of_every_type(tmp_path: Path, reader: str, kind: str) -> None:
    read, sound, others = READERS[reader]
    for column in (*sound, *others):
        try:
            pq.write_table(pa.table({**sound, column: ODD[kind]}), tmp_path / "t.parquet")
        except pa.ArrowNotImplementedError as error:
            pytest.skip(f"PyArrow {pa.__version__} writes no such column: {error}")
        said = ""
        try:
            read(tmp_path / "t.parquet")
        except ValueError as error:
            said = str(error)
        assert len(said) < 1500 and "\n" not in said, column


@pytest.mark.parametrize("reader", ["clips", "inputs"])
def test_bombs_of_text(tmp_path: Path, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same thousand letters in 200,000 rows: 200 MB, in a file of some kB."""
    column = pa.array(["a" * 1000]).take(pa.array(np.zeros(200_000, np.int64)))
    pq.write_table(pa.table({"path": column, "label": column}), tmp_path / "t.parquet", compression="zstd")
    assert (tmp_path / "t.parquet").stat().st_size < 100_000
    monkeypatch.setattr(memory, "available_bytes", lambda: 2**26)
    with pytest.raises(ValueError, match=r"its rows take 0\.1 GiB, and 0\.1 GiB of memory are free"):
        READERS[reader][0](tmp_path / "t.parquet")


def test_a_bomb_of_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(20_000_000, np.float32)), 20_000)
    labels = pa.array(np.zeros(len(lists), np.int64))
    columns = {"feature": lists, "id": labels, "camera": labels, "is_query": pa.array(np.ones(len(lists), bool))}
    pq.write_table(pa.table(columns), tmp_path / "f.parquet", compression="zstd")
    assert (tmp_path / "f.parquet").stat().st_size < 100_000
    monkeypatch.setattr(memory, "available_bytes", lambda: 2**24)
    with pytest.raises(ValueError, match=r"its columns take 0\.1 GiB"):
        load_features(tmp_path / "f.parquet")
