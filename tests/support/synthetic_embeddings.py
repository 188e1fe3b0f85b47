"""Folders of embeddings made of given vectors, without a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from specvid.datasets.decode import Timing
from specvid.files import write_json
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.shards import VideoResult, gather_failures, schema_of, write_shard


def write_embeddings(
    out: Path,
    vectors: Any,
    *,
    ids: Sequence[str] = (),
    columns: Mapping[str, Any] | None = None,
    shard_size: int = 1000,
    dtype: str = "fp32",
) -> Folder:
    """One row for each of ``vectors`` (N, D); ``ids`` (n0, n1, ... without) are also the paths."""
    vectors = np.asarray(vectors, np.float32)
    names = list(ids) or [f"n{number}" for number in range(len(vectors))]
    own = {"id": names, "file": [name.encode() for name in names], "problem": [""] * len(names)}
    inputs = pa.table({**own, **(columns or {})})
    folder = Folder(out)
    metadata = {"config": {"output": {"dtype": dtype}}, "network": {"dim": vectors.shape[1]}}
    schema = schema_of(inputs, metadata)
    shards = -(-len(vectors) // shard_size)
    zero, last = np.zeros(1, np.int64), np.full(1, 24)
    for shard in range(shards):
        rows = range(shard * shard_size, min((shard + 1) * shard_size, len(vectors)))
        results = [VideoResult(row, Timing(25.0), zero, last, vectors[row : row + 1]) for row in rows]
        write_shard(folder, shard, inputs, results, schema)
    pq.write_table(inputs, folder.inputs)
    write_json(folder.metadata_file, {**metadata, "inputs": len(vectors), "shards": shards})
    gather_failures(folder, shards)
    return folder
