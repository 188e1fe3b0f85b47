"""The rows of a shard as a Parquet file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from specvid.pipelines.embed.layout import Folder
from specvid.pipelines.embed.sources import readable

KEY = b"specvid"  # of the schema's metadata: JSON
ROW_GROUP = 16384
_INPUT = ("id", "file", "problem")


@dataclass(frozen=True)
class Embedded:
    """What came of one input. ``row``: in the table of inputs; ``vectors`` (W, D) with ``first`` and ``last`` (W,)
    frames, none where there is an ``error``. ``short``: why frames of it were taken more than once.
    """

    row: int
    fps: float = 0.0
    first: np.ndarray | None = None
    last: np.ndarray | None = None
    vectors: np.ndarray | None = None
    error: str = ""
    short: str = ""


def schema_of(inputs: Any, facts: Mapping[str, Any]) -> Any:
    """The Arrow schema: own columns, carried columns, the embedding; with all facts in its metadata."""
    import pyarrow as pa

    value = pa.float16() if facts["output"]["dtype"] == "fp16" else pa.float32()
    own = [
        ("id", pa.string()), ("path", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64()),
        ("first_frame", pa.int64()), ("last_frame", pa.int64()),
    ]  # fmt: skip
    carried = [field for field in inputs.schema if field.name not in _INPUT]
    fields = [pa.field(*pair) for pair in own] + [pa.field(field.name, field.type) for field in carried]
    fields.append(pa.field("embedding", pa.list_(value, facts["network"]["dim"])))
    return pa.schema(fields, metadata={KEY: json.dumps(facts, sort_keys=True)})


def write_shard(folder: Folder, shard: int, inputs: Any, results: Sequence[Embedded], schema: Any) -> None:
    """Write the shard's failures, then the shard: when it is there, both are. ``inputs``: the table of all inputs."""
    import pyarrow.parquet as pq

    failed = [result for result in results if result.error]
    if failed:
        table = _failures(inputs, failed, shard)
        folder.put(folder.failed_part(shard), lambda path: pq.write_table(table, path))
    else:
        folder.failed_part(shard).unlink(missing_ok=True)
    table = _rows(inputs, [result for result in results if not result.error], schema)
    compression = {name: "NONE" if name == "embedding" else "ZSTD" for name in schema.names}
    packing: dict[str, Any] = {
        "compression": compression | {"embedding.list.element": "NONE"},
        "use_dictionary": [name for name in schema.names if name != "embedding"],
    }
    folder.put(folder.part(shard), lambda path: pq.write_table(table, path, row_group_size=ROW_GROUP, **packing))


def gather_failures(folder: Folder, shards: int) -> int:
    """Write errors.parquet from the failures of all shards; returns how many they are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    there = [folder.failed_part(shard) for shard in range(shards) if folder.failed_part(shard).exists()]
    table = pa.concat_tables([_failure_schema().empty_table(), *(pq.read_table(path) for path in there)])
    folder.put(folder.errors, lambda path: pq.write_table(table, path))
    return len(table)


def count_short(folder: Folder, needed: int) -> int:
    """Inputs with fewer frames than the ``needed`` of a clip, counted in the shards themselves: the last row of an
    input that is too short ends with its last frame.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    short = 0
    for part in folder.parts():  # an input is never in two
        lasts = pq.read_table(part, columns=["id", "last_frame"]).group_by("id").aggregate([("last_frame", "max")])
        short += pc.sum(pc.less(lasts["last_frame_max"], needed - 1)).as_py() or 0
    return short


def _rows(inputs: Any, results: Sequence[Embedded], schema: Any) -> Any:
    import pyarrow as pa

    counts = [len(result.vectors) for result in results if result.vectors is not None]
    rows = np.repeat(np.array([result.row for result in results], np.int64), counts)
    own = inputs.take(pa.array(rows))
    first, last = (_joined([getattr(result, name) for result in results], np.int64) for name in ("first", "last"))
    fps = np.repeat(np.array([result.fps for result in results], np.float64), counts)
    known = fps > 0
    seconds = [np.divide(frames, fps, out=np.zeros(len(fps)), where=known) for frames in (first, last + 1)]
    vectors = _joined([result.vectors for result in results], np.float32)
    value = schema.field("embedding").type.value_type
    flat = pa.array(vectors.reshape(-1).astype(np.float16 if pa.types.is_float16(value) else np.float32), value)
    columns = {
        "id": own["id"],
        "path": pa.array([readable_bytes(name) for name in own["file"].to_pylist()], pa.string()),
        "start_s": pa.array(seconds[0], mask=~known),
        "end_s": pa.array(seconds[1], mask=~known),
        "first_frame": pa.array(first),
        "last_frame": pa.array(last),
        **{name: own[name] for name in own.column_names if name not in _INPUT},
        "embedding": pa.FixedSizeListArray.from_arrays(flat, schema.field("embedding").type.list_size),
    }
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _failures(inputs: Any, failed: Sequence[Embedded], shard: int) -> Any:
    import pyarrow as pa

    own = inputs.take(pa.array([result.row for result in failed]))
    paths = [readable_bytes(name) for name in own["file"].to_pylist()]
    reasons = [result.error for result in failed]
    columns = [own["id"], pa.array(paths), pa.array(reasons), pa.array([shard] * len(failed), pa.int64())]
    return pa.table(columns, schema=_failure_schema())


def _failure_schema() -> Any:
    import pyarrow as pa

    return pa.schema([("id", pa.string()), ("path", pa.string()), ("reason", pa.string()), ("shard", pa.int64())])


def readable_bytes(name: bytes) -> str:
    """`readable` of a path kept as bytes."""
    import os

    return readable(os.fsdecode(name))


def _joined(parts: Sequence[Any], dtype: Any) -> np.ndarray:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.zeros(0, dtype)


def facts_of(path: Path) -> dict[str, Any]:
    """The facts in a shard's metadata."""
    import pyarrow.parquet as pq

    metadata = pq.read_schema(path).metadata or {}
    if KEY not in metadata:
        raise ValueError(f"{path} was not written by specvid: its schema metadata has no {KEY.decode()!r}.")
    return json.loads(metadata[KEY])
