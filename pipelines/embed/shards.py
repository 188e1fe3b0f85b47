"""The rows of a shard as a Parquet file, and all rows as one ``embeddings.npz``."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from specvid import parquet
from specvid.datasets.decode import Timing
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import batches
from specvid.reading import parse_json
from specvid.text import printable_path

KEY = b"specvid"  # of the schema's metadata: JSON
ROW_GROUP = 16384
_INPUT = ("id", "file", "problem", "files")


@dataclass(frozen=True)
class VideoResult:
    """What came of one input.

    Attributes:
        row: its row in the table of inputs.
        timing: when its frames are shown.
        first: int64 (W,), first frame of each window; None with an error, as ``last`` and ``vectors``.
        last: int64 (W,), last frame of each window.
        vectors: float32 (W, D).
        error: why there are none.
        short: why frames of it were taken more than once.
        warning: about lost or repaired frames.
        lost: which of them are others in place of lost ones, and why.
    """

    row: int
    timing: Timing = field(default_factory=Timing)
    first: np.ndarray | None = None
    last: np.ndarray | None = None
    vectors: np.ndarray | None = None
    error: str = ""
    short: str = ""
    warning: str = ""
    lost: str = ""


def schema_of(inputs: Any, metadata: Mapping[str, Any]) -> Any:
    """The Arrow schema of a data set.

    Args:
        inputs: the table of inputs, whose further columns are carried over.
        metadata: of the job, see `Job.metadata`; it goes into the schema's metadata as JSON.

    Returns:
        Own columns, carried columns, the embedding.
    """
    import pyarrow as pa

    value = pa.float16() if metadata["config"]["output"]["dtype"] == "fp16" else pa.float32()
    own = [
        ("id", pa.string()),
        ("path", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("first_frame", pa.int64()),
        ("last_frame", pa.int64()),
    ]
    carried = [field for field in inputs.schema if field.name not in _INPUT]
    fields = [pa.field(*pair) for pair in own] + [pa.field(field.name, field.type) for field in carried]
    fields.append(pa.field("embedding", pa.list_(value, metadata["network"]["dim"])))
    return pa.schema(fields, metadata={KEY: json.dumps(metadata, sort_keys=True)})


def write_shard(folder: Folder, shard: int, inputs: Any, results: Sequence[VideoResult], schema: Any) -> None:
    """Write the failures and warnings of a shard, then the shard: when it is there, all are.

    Args:
        folder: where to.
        shard: its number.
        inputs: the table of all inputs.
        results: of the inputs of the shard, in order.
        schema: as `schema_of` makes it.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    failed = [(result.row, result.error) for result in results if result.error]
    warned = [(result.row, result.warning) for result in results if result.warning and not result.error]
    lost = [bool(result.lost) for result in results if result.warning and not result.error]
    for part, texts, name, marks in (
        (folder.failed_part(shard), failed, "reason", None),
        (folder.warnings_part(shard), warned, "warning", lost),
    ):
        write_texts(folder, part, _text_table(inputs, texts, shard, name, marks) if texts else None)
    write_rows(folder, shard, _rows(inputs, [result for result in results if not result.error], schema))


def write_texts(folder: Folder, part: Path, table: Any) -> None:
    """Write the failures or warnings of a shard, or remove them where there are none.

    Args:
        folder: where to.
        part: its file.
        table: of texts; None for none.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    import pyarrow.parquet as pq

    if table is None or not len(table):
        part.unlink(missing_ok=True)
    else:
        folder.write(part, lambda path: pq.write_table(table, path))


def write_rows(folder: Folder, shard: int, table: Any) -> None:
    """Write the file of a shard: the same rows are the same bytes.

    Args:
        folder: where to.
        shard: its number.
        table: its rows, with the schema of `schema_of`.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    import pyarrow.parquet as pq

    schema = table.schema
    compression = {name: "NONE" if name == "embedding" else "ZSTD" for name in schema.names}
    options: dict[str, Any] = {
        "write_page_checksum": True,
        "compression": compression | {"embedding.list.element": "NONE"},
        "use_dictionary": [name for name in schema.names if name != "embedding"],
    }
    folder.write(folder.part(shard), lambda path: pq.write_table(table, path, row_group_size=ROW_GROUP, **options))


def gather_failures(folder: Folder, shards: int) -> tuple[int, int, int]:
    """Write errors.parquet and warnings.parquet from those of all shards.

    Args:
        folder: a folder whose shards are all there.
        shards: how many.

    Returns:
        The number of failures, of inputs in which other frames stand in for lost ones, of inputs with other warnings.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    tables = []
    for part, target, name in (
        (folder.failed_part, folder.errors, "reason"),
        (folder.warnings_part, folder.warnings, "warning"),
    ):
        there = [part(shard) for shard in range(shards) if part(shard).exists()]
        table = pa.concat_tables([_text_schema(name).empty_table(), *(parquet.read_table(path) for path in there)])
        folder.write(target, lambda path, table=table: pq.write_table(table, path))  # type: ignore[misc]
        tables.append(table)
    failed, warned = tables
    lost = pc.sum(warned["lost"]).as_py() or 0
    return len(failed), lost, len(warned) - lost


def count_short(folder: Folder, needed: int, *, tracklets: bool = True) -> int:
    """Count inputs that have fewer frames than a clip, in the shards themselves.

    Args:
        folder: a complete folder.
        needed: frames of the video that a clip spans.
        tracklets: count such, too.

    Returns:
        How many: the last row of an input that is too short ends with its last frame.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    short, left = 0, pa.array([], pa.string())
    if not tracklets and "files" in pq.read_schema(folder.inputs).names:
        inputs = parquet.read_table(folder.inputs, columns=["id", "files"])
        left = inputs["id"].filter(pc.is_valid(inputs["files"])).combine_chunks()
    for part in folder.parts():  # an input is never in two
        lasts = parquet.read_table(part, columns=["id", "last_frame"]).group_by("id").aggregate([("last_frame", "max")])
        lasts = lasts.filter(pc.invert(pc.is_in(lasts["id"], value_set=left)))
        short += pc.sum(pc.less(lasts["last_frame_max"], needed - 1)).as_py() or 0
    return short


def _rows(inputs: Any, results: Sequence[VideoResult], schema: Any) -> Any:
    import pyarrow as pa

    counts = [len(result.vectors) for result in results if result.vectors is not None]
    rows = np.repeat(np.array([result.row for result in results], np.int64), counts)
    own = inputs.take(pa.array(rows))
    first, last = (_joined([getattr(result, name) for result in results], np.int64) for name in ("first", "last"))
    seconds = [
        _joined(
            [when(result.timing, frames) for result in results if (frames := getattr(result, name)) is not None], float
        )
        for name, when in (("first", Timing.start), ("last", Timing.end))
    ]
    known = ~np.isnan(seconds[0])
    vectors = _joined([result.vectors for result in results], np.float32)
    value = schema.field("embedding").type.value_type
    flat = pa.array(vectors.reshape(-1).astype(np.float16 if pa.types.is_float16(value) else np.float32), value)
    columns = {
        "id": own["id"],
        "path": pa.array([printable_path(name) for name in own["file"].to_pylist()], pa.string()),
        "start_s": pa.array(seconds[0], mask=~known),
        "end_s": pa.array(seconds[1], mask=~known),
        "first_frame": pa.array(first),
        "last_frame": pa.array(last),
        **{name: own[name] for name in own.column_names if name not in _INPUT},
        "embedding": pa.FixedSizeListArray.from_arrays(flat, schema.field("embedding").type.list_size),
    }
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _text_table(
    inputs: Any, texts: Sequence[tuple[int, str]], shard: int, name: str, lost: Sequence[bool] | None
) -> Any:
    """The ``texts`` on some inputs of a shard, by row, as a table: each in the column ``name``."""
    import pyarrow as pa

    own = inputs.take(pa.array([row for row, _ in texts]))
    paths = [printable_path(file) for file in own["file"].to_pylist()]
    column = pa.array([text for _, text in texts])
    columns = [own["id"], pa.array(paths), column, pa.array([shard] * len(texts), pa.int64())]
    marks = [] if lost is None else [pa.array(lost)]
    return pa.table([*columns, *marks], schema=_text_schema(name))


def _text_schema(name: str) -> Any:
    import pyarrow as pa

    fields = [("id", pa.string()), ("path", pa.string()), (name, pa.string()), ("shard", pa.int64())]
    return pa.schema(fields + ([("lost", pa.bool_())] if name == "warning" else []))


def _joined(parts: Sequence[Any], dtype: Any) -> np.ndarray:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.zeros(0, dtype)


def read_metadata(path: Path) -> dict[str, Any]:
    """The metadata of the job that wrote a shard, from the shard itself.

    Args:
        path: a Parquet file.

    Returns:
        What `schema_of` put in.

    Raises:
        ValueError: it was not written by specvid.
    """
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata or {}
    if KEY not in metadata:
        raise ValueError(f"{path} was not written by specvid: its schema metadata has no {KEY.decode()!r}.")
    return parse_json(metadata[KEY])


def write_npz(folder: Folder) -> None:
    """Write embeddings.npz shard by shard, at no time with all rows in memory.

    It holds ``embedding`` (N, D), and an array (N,) for each other column; text as unicode, as `np.load` reads it
    without pickling.

    Args:
        folder: a complete folder.

    Raises:
        ValueError: a carried column is of another type than numbers, text, truth values or times.
    """
    import pyarrow.parquet as pq

    parts = folder.parts()
    schema = pq.read_schema(parts[0])
    rows = sum(pq.read_metadata(part).num_rows for part in parts)
    folder.write(folder.npz, lambda path: _write_arrays(path, parts, schema, rows))


def _write_arrays(path: Path, parts: list[Path], schema: Any, rows: int) -> None:
    """Write the archive at ``path``."""
    import pyarrow as pa

    dim = schema.field("embedding").type.list_size
    value = pa.array([], schema.field("embedding").type.value_type).to_numpy().dtype
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        with _member(archive, "embedding") as file:
            header = {"descr": np.lib.format.dtype_to_descr(value), "fortran_order": False, "shape": (rows, dim)}
            np.lib.format.write_array_header_2_0(file, header)
            for batch in batches(parts, ["embedding"]):
                block = batch.column(0).flatten().to_numpy(zero_copy_only=False)
                file.write(np.ascontiguousarray(block, value).tobytes())
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
        raise ValueError(f"column {name!r} ({kind}) cannot be stored in an npz: leave it out, or use the Parquet.")
    return array
