"""Rows of a data set of embeddings: unit vectors block by block, and the columns of single rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from specvid.pipelines.embed.layout import Folder, batches


def unit(vectors: np.ndarray) -> np.ndarray:
    """Float32 (N, D) of unit length; a zero vector stays zero, it is like nothing."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)


def unit_blocks(parts: list[Path]) -> Iterator[np.ndarray]:
    """All embeddings in the order of rows, as unit vectors (n, D), block by block."""
    for batch in batches(parts, ["embedding"]):
        yield unit(matrix_of(batch.column(0)))


def matrix_of(column: Any) -> np.ndarray:
    """A fixed-size list column as (n, D)."""
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)


class Rows:
    """The rows of all shards as one numbered list."""

    def __init__(self, folder: Folder) -> None:
        import pyarrow.parquet as pq

        self.parts = folder.parts()
        self.schema = pq.read_schema(self.parts[0])
        self.counts = [pq.read_metadata(part).num_rows for part in self.parts]
        self.ends = np.cumsum(self.counts)
        self.dim = self.schema.field("embedding").type.list_size

    def __len__(self) -> int:
        return int(self.ends[-1])

    def state(self) -> list[list[Any]]:
        """Name, bytes and rows of each shard: an index of other ones does not fit."""
        return [[part.name, part.stat().st_size, n] for part, n in zip(self.parts, self.counts, strict=True)]

    def take(self, rows: Sequence[int], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Some rows as dicts, in the order asked for; without ``columns`` all but the embedding."""
        import pyarrow.parquet as pq

        names = list(columns) if columns is not None else [n for n in self.schema.names if n != "embedding"]
        found: dict[int, dict[str, Any]] = {}
        wanted = np.unique(np.asarray(rows, np.int64))
        which = np.searchsorted(self.ends, wanted, side="right")
        for part in np.unique(which).tolist():
            begin = int(self.ends[part]) - self.counts[part]
            with pq.ParquetFile(self.parts[part]) as file:
                for group in range(file.num_row_groups):
                    end = begin + file.metadata.row_group(group).num_rows
                    inside = wanted[(wanted >= begin) & (wanted < end)]
                    if len(inside):
                        table = file.read_row_group(group, columns=names).take(inside - begin)
                        found.update(zip(inside.tolist(), table.to_pylist(), strict=True))
                    begin = end
        return [found[int(row)] for row in rows]

    def with_id(self, name: str) -> np.ndarray:
        """Numbers of the rows with an id."""
        import pyarrow.compute as pc

        found, start = [np.zeros(0, np.int64)], 0
        for batch in batches(self.parts, ["id"]):
            found.append(start + np.flatnonzero(pc.equal(batch.column(0), name).to_numpy(zero_copy_only=False)))
            start += len(batch)
        return np.concatenate(found)
