"""Parquet files of few bytes that stand for gigabytes, and the rows of sound ones."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_embeddings import write_embeddings

from specvid import parquet
from specvid.tools.bench.process_memory import peak_mebibytes, restart_peak


def one_text_many_times(path: Path, rows: int) -> None:
    """A dictionary of one text of a megabyte, and a number for each row."""
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["A" * 2**20]))
    with pq.ParquetWriter(path, pa.schema([("path", texts.type)]), compression="zstd", store_schema=False) as file:
        file.write_table(pa.table({"path": texts}))


def test_few_bytes_do_not_become_gigabytes(tmp_path: Path) -> None:
    one_text_many_times(tmp_path / "a.parquet", 8000)
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    before = restart_peak()
    with pytest.raises(ValueError, match=r"its 0\.0 MiB unpack to more than 256 MiB of text, which no table"):
        parquet.read_table(tmp_path / "a.parquet")
    with (
        pq.ParquetFile(tmp_path / "a.parquet") as file,
        pytest.raises(ValueError, match="unpack to more than 256 MiB of text"),
    ):
        list(parquet.batches(file, ["path"], size=10_000))
    assert peak_mebibytes() < before + 1500


def test_one_row_of_many_costs_one(tmp_path: Path) -> None:
    """An answer of a search over a data set, each of whose rows claims a path of a megabyte."""
    folder = write_embeddings(tmp_path / "emb", np.eye(8), ids=[f"n{n}" for n in range(8)])
    (part,) = folder.parts()
    table = pq.read_table(part).take([0] * 300)
    table = table.set_column(table.schema.get_field_index("path"), "path", pa.array(["A" * 2**20] * 300))
    pq.write_table(table, part, compression="zstd", dictionary_pagesize_limit=2**24, write_batch_size=50)
    assert part.stat().st_size < 100_000
    code = (
        "import sys; from pathlib import Path; from specvid.pipelines.embed.folder import Folder\n"
        "from specvid.pipelines.embed.rows import Rows\n"
        "from specvid.tools.bench.process_memory import peak_mebibytes, restart_peak\n"
        "rows = Rows(Folder(Path(sys.argv[1])))\n"
        "before = restart_peak()\n"
        "(row,) = rows.take([200])\n"
        "print(len(row['path']), int(peak_mebibytes() - before))"
    )  # in a process of its own, with no memory left over from writing
    done = subprocess.run([sys.executable, "-c", code, folder.path], capture_output=True, text=True, check=True)
    length, mebibytes = map(int, done.stdout.split())
    assert length == 2**20
    assert mebibytes < 100


def test_rows_come_in_order_and_in_batches(tmp_path: Path) -> None:
    table = pa.table({"id": [str(n) for n in range(1000)], "n": range(1000), "text": [["a", "b"]] * 1000})
    table = table.replace_schema_metadata({"specvid": "x"})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=300)
    found = parquet.read_table(tmp_path / "a.parquet")
    assert found.to_pydict() == table.to_pydict()
    assert found.schema.metadata[b"specvid"] == b"x"
    assert parquet.read_table(tmp_path / "a.parquet", ["n", "id", "none"]).column_names == ["id", "n"]
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        parts = list(parquet.batches(file, ["n"], size=1, rows=100))
        assert [len(batch) for batch in parts] == [100] * 10
        assert [n for batch in parts for n in batch.column("n").to_pylist()] == list(range(1000))
