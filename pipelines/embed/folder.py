"""The folder of an embedding, and its rows.

    embeddings/part-000000.parquet ...   the data set: shard k holds the inputs k·S .. (k+1)·S - 1 of the sorted list
    errors.parquet                       id, path, reason, shard: written when all shards are there
    warnings.parquet                        id, path, warning, shard, lost (frames stand in for lost ones): likewise
    inputs.parquet                       the sorted list
    embed.json                           settings, network, counts: written when the list stands
    index/                               of `specvid search build`
    .errors/, .warnings/                    those of each shard; .writing/: unfinished files

A shard is a function of its inputs and the settings alone, and it appears in one rename. So a job may be killed at any
moment, be done by any number of processes, even by two by mistake: the bytes that stand at the end are the same.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from specvid.files import read_json, recover, replacing_file


class Folder:
    """Reads and writes one folder of embeddings.

    Args:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.embeddings, self.failures = self.path / "embeddings", self.path / ".errors"
        self._warned, self.warnings = self.path / ".warnings", self.path / "warnings.parquet"
        self.inputs, self.metadata_file = self.path / "inputs.parquet", self.path / "embed.json"
        self.errors, self.npz = self.path / "errors.parquet", self.path / "embeddings.npz"
        self._writing = self.path / ".writing"

    def part(self, shard: int) -> Path:
        """The Parquet file of a shard.

        Args:
            shard: its number, from 0.

        Returns:
            The path.
        """
        return self.embeddings / f"part-{shard:06d}.parquet"

    def failed_part(self, shard: int) -> Path:
        """The Parquet file with the failures of a shard; not there where nothing failed.

        Args:
            shard: its number, from 0.

        Returns:
            The path.
        """
        return self.failures / f"part-{shard:06d}.parquet"

    def warnings_part(self, shard: int) -> Path:
        """The Parquet file with the warnings of a shard; missing where there are none.

        Args:
            shard: its number, from 0.

        Returns:
            The path.
        """
        return self._warned / f"part-{shard:06d}.parquet"

    def missing(self, shards: int) -> list[int]:
        """The shards that are not there.

        Args:
            shards: how many there are to be.

        Returns:
            Their numbers.
        """
        there = set(os.listdir(self.embeddings)) if self.embeddings.is_dir() else set()
        return [shard for shard in range(shards) if self.part(shard).name not in there]

    def metadata(self) -> dict[str, Any]:
        """The content of embed.json.

        Returns:
            Settings, network, and the numbers of inputs and shards.

        Raises:
            ValueError: the folder holds no embeddings.
        """
        try:
            metadata = read_json(self.metadata_file)
            kinds = {"config": dict, "network": dict, "inputs": int, "shards": int}
            for name, kind in kinds.items():
                if not isinstance(metadata.get(name), kind):
                    raise ValueError(f"{str(self.metadata_file)!r}: {name} is {str(metadata.get(name))[:60]!r}.")
            return metadata
        except ValueError as error:
            raise ValueError(
                f"{str(self.path)!r} holds no embeddings: {error} Give the folder that `specvid embed --out` wrote."
            ) from None

    def parts(self) -> list[Path]:
        """The Parquet files of all shards, in order.

        Raises:
            ValueError: some are missing.
        """
        shards = self.metadata()["shards"]
        there = len(list(self.embeddings.glob("part-*.parquet"))) if self.embeddings.is_dir() else 0
        missing = shards - there if shards > there else len(self.missing(shards))
        if missing:
            raise ValueError(
                f"{str(self.path)!r} is not complete: {missing} of {shards} shards are missing. "
                "Start its `specvid embed` again: it does only what is missing."
            )
        return [self.part(shard) for shard in range(shards)]

    def write(self, target: Path, write: Callable[[Path], object]) -> None:
        """Write a file aside, force it onto the disk, and give it its name in one rename.

        Args:
            target: the file in the folder.
            write: writes the file at the path it is given.

        Raises:
            OSError: the disk is full or the folder cannot be written; the message says what to do.
        """
        try:
            with replacing_file(target, folder=self._writing) as path:
                write(path)
        except OSError as error:
            raise disk_error(error, target) from error

    def remove_leftovers(self) -> None:
        """Remove what killed processes left half written; only when no other one writes."""
        shutil.rmtree(self._writing, ignore_errors=True)

    def clear(self) -> None:
        """Remove an embedding, and nothing else that may lie in the folder."""
        self.metadata_file.unlink(missing_ok=True)  # first: without it the rest counts for nothing
        recover(self.path / "index")  # a ready one beside it goes too
        for folder in (self.embeddings, self.failures, self._warned, self._writing, self.path / "index"):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.errors, self.warnings, self.npz, self.inputs):
            file.unlink(missing_ok=True)


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
        found: dict[int, dict[str, Any]] = {}
        wanted = np.unique(np.asarray(rows, np.int64))
        which = np.searchsorted(self.ends, wanted, side="right")
        for part in np.unique(which).tolist():
            begin = int(self.ends[part]) - self.counts[part]
            with _sound(self.parts[part]), pq.ParquetFile(self.parts[part], **_CHECKED) as file:
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
            name: the id.

        Returns:
            Their numbers, int64.
        """
        import pyarrow.compute as pc

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
            yield from file.iter_batches(batch_size=rows, columns=columns)


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


_CHECKED: dict[str, Any] = {"page_checksum_verification": True}
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than this process may write",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "the folder may not be written",
    errno.EPERM: "the folder may not be written",
}


def disk_error(error: OSError, target: Path) -> OSError:
    """The same failure with a message that says what to do; what was written before stays valid.

    Args:
        error: the failure.
        target: what could not be written.

    Returns:
        The error, to be raised.
    """
    number = error.errno
    if number is None:  # Arrow's errors carry it in their text only
        text = str(error)
        number = next((code for code in _REASONS if f"[Errno {code}]" in text or os.strerror(code) in text), 0)
    why = _REASONS.get(number or 0, error.strerror or str(error))
    return OSError(f"{target} cannot be written: {why}. Mend that and start again: only what is missing will be done.")
