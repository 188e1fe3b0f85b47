"""All rows as one ``embeddings.npz``, written shard by shard: one array in memory at no time."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from specvid.pipelines.embed.layout import Folder, batches


def write_npz(folder: Folder) -> None:
    """Write the arrays ``embedding`` (N, D) and one (N,) for each other column; text as unicode, as `np.load` reads it
    without pickling. Raises ``ValueError`` for carried columns of other types than numbers, text, truth values, times.
    """
    import pyarrow.parquet as pq

    parts = folder.parts()
    schema = pq.read_schema(parts[0])
    rows = sum(pq.read_metadata(part).num_rows for part in parts)
    folder.put(folder.npz, lambda path: _write(path, parts, schema, rows))


def _write(path: Path, parts: list[Path], schema: Any, rows: int) -> None:
    dim = schema.field("embedding").type.list_size
    value = np.dtype(schema.field("embedding").type.value_type.to_pandas_dtype())
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        with _member(archive, "embedding") as file:
            header = {"descr": np.lib.format.dtype_to_descr(value), "fortran_order": False, "shape": (rows, dim)}
            np.lib.format.write_array_header_2_0(file, header)
            for batch in batches(parts, ["embedding"]):
                file.write(
                    np.ascontiguousarray(batch.column(0).flatten().to_numpy(zero_copy_only=False), value).tobytes()
                )
        for name in schema.names:
            if name != "embedding":
                column = [batch.column(0) for batch in batches(parts, [name])]
                with _member(archive, name) as file:
                    np.lib.format.write_array(file, _array(name, column, schema.field(name).type), allow_pickle=False)


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)  # its date is fixed: the same bytes


def _array(name: str, column: list[Any], kind: Any) -> np.ndarray:
    """A column without pickles. numpy has no null: it is "" in text, NaT in times, NaN elsewhere."""
    import pyarrow as pa

    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.array([entry or "" for chunk in column for entry in chunk.to_pylist()], np.str_)
    array = pa.chunked_array(column, kind).to_numpy()
    if array.dtype.kind not in "biufM":
        raise ValueError(f"column {name!r} ({kind}) cannot be kept in an npz: leave it out, or use the Parquet.")
    return array
