"""The rows of a folder of embeddings, read shard by shard: a data set of any size in little memory."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from specvid import parquet
from specvid.pipelines.embed.folder import Folder
from specvid.text import printable_path

_CHECKED: dict[str, Any] = {"page_checksum_verification": True}


class Rows:
    """The rows of all shards of a folder as one numbered list.

    Args:
        folder: a complete folder.

    Raises:
        ValueError: it is not complete, or holds no embeddings.
    """

    def __init__(self, folder: Folder) -> None:
        import pyarrow.parquet as pq

        self.parts = folder.parts()
        if not self.parts:
            raise ValueError(f"{str(folder.path)!r} has no shards: there is nothing in it.")
        self.counts = []
        for part in self.parts:
            with _sound(part):
                self.counts.append(pq.read_metadata(part).num_rows)
        with _sound(self.parts[0]):
            self.schema = pq.read_schema(self.parts[0])
            columns = set(self.schema.names)
            if not {"id", "path", "embedding"} <= columns or not hasattr(
                self.schema.field("embedding").type, "list_size"
            ):
                raise ValueError("it has no columns id, path, and embedding of a fixed length")
        self.ends = np.cumsum(self.counts)
        self.dim = self.schema.field("embedding").type.list_size

    def __len__(self) -> int:
        return int(self.ends[-1])

    def of_shards(self, first: int, end: int) -> "Rows":
        """The rows of consecutive shards alone.

        Args:
            first: the first shard.
            end: the shard after the last one.

        Returns:
            At least one shard's rows, numbered from 0.
        """
        part = copy.copy(self)
        part.parts, part.counts = self.parts[first:end], self.counts[first:end]
        part.ends = np.cumsum(part.counts)
        return part

    def embeddings(self) -> Iterator[np.ndarray]:
        """All embeddings in the order of rows, (n, D) in the type they are stored in, block by block."""
        for batch in batches(self.parts, ["embedding"]):
            yield as_matrix(batch.column(0))

    def state(self) -> list[list[Any]]:
        """Name, bytes and rows of each shard: an index of other ones does not fit."""
        return [[part.name, part.stat().st_size, n] for part, n in zip(self.parts, self.counts, strict=True)]

    def take(self, rows: Sequence[int], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Some rows as dictionaries.

        Args:
            rows: their numbers.
            columns: names of columns; all but the embedding if not given.

        Returns:
            The rows in the order asked for.
        """
        import pyarrow.parquet as pq

        names = list(columns) if columns is not None else [n for n in self.schema.names if n != "embedding"]
        # Text as it is stored, each one once: rows that are not asked for may be one long text many times.
        text = [name for name in names if name in self.schema.names and _is_text(self.schema.field(name).type)]
        found: dict[int, dict[str, Any]] = {}
        wanted = np.unique(np.asarray(rows, np.int64))
        which = np.searchsorted(self.ends, wanted, side="right")
        for part in np.unique(which).tolist():
            begin = int(self.ends[part]) - self.counts[part]
            with _sound(self.parts[part]), pq.ParquetFile(self.parts[part], read_dictionary=text, **_CHECKED) as file:
                for group in range(file.num_row_groups):
                    end = begin + file.metadata.row_group(group).num_rows
                    inside = wanted[(wanted >= begin) & (wanted < end)]
                    if len(inside):
                        table = file.read_row_group(group, columns=names).take(inside - begin)
                        found.update(zip(inside.tolist(), table.to_pylist(), strict=True))
                    begin = end
        return [found[int(row)] for row in rows]

    def with_id(self, name: str) -> np.ndarray:
        """The rows of an id.

        Args:
            name: the id; or the name of a file, of which it was made.

        Returns:
            Their numbers, int64.
        """
        import pyarrow.compute as pc

        name = printable_path(name)
        found, start = [np.zeros(0, np.int64)], 0
        for batch in batches(self.parts, ["id"]):
            found.append(start + np.flatnonzero(pc.equal(batch.column(0), name).to_numpy(zero_copy_only=False)))
            start += len(batch)
        return np.concatenate(found)


def batches(parts: list[Path], columns: list[str] | None = None, *, rows: int = 16384) -> Iterator[Any]:
    """The rows of shards in order, a data set of any size in little memory.

    Args:
        parts: Parquet files of shards.
        columns: names of columns; all if not given.
        rows: most rows of a batch.

    Yields:
        Arrow record batches.
    """
    import pyarrow.parquet as pq

    for part in parts:
        with _sound(part), pq.ParquetFile(part, **_CHECKED) as file:
            names = file.schema_arrow.names if columns is None else columns
            yield from parquet.batches(file, names, size=part.stat().st_size, rows=rows)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return any(check(kind) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary))


@contextmanager
def _sound(part: Path) -> Iterator[None]:
    """ValueError, naming the shard, where it cannot be read."""
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        cause = " ".join(str(error).split())[:200]
        raise ValueError(f"shard {str(part)!r} is damaged, or was altered: {cause}") from None


def as_matrix(column: Any) -> np.ndarray:
    """A fixed-size list column of Arrow as an array.

    Args:
        column: of n lists of D numbers.

    Returns:
        (n, D).
    """
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
