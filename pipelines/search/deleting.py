"""Taking inputs out of a data set, so that it can be killed at any moment.

First their ids go into deleted.parquet: from then on no search gives them, and no shard that is embedded anew holds
them. Then the shards that hold rows of them are written without, one by one, each in one rename. What a kill leaves
undone, the same command does, with or without ids. The inputs stay in the list, so that the shards keep their numbers.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from specvid import parquet
from specvid.files import only_writer
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import Rows, batches
from specvid.pipelines.embed.shards import gather_failures, write_rows, write_texts
from specvid.text import counted


@dataclass(frozen=True)
class Deletion:
    """What was deleted.

    Attributes:
        inputs: ids that were not deleted before.
        rows: rows that left the shards now.
        shards: shards that were written anew.
        deleted: all ids that are deleted.
    """

    inputs: int
    rows: int
    shards: int
    deleted: int

    def __str__(self) -> str:
        gone = f"{counted(self.rows, 'row')} out of {counted(self.shards, 'shard')}"
        return f"{counted(self.inputs, 'input')} deleted, {gone}; {self.deleted:,} deleted in all"


def delete(
    out: str | os.PathLike[str],
    ids: Sequence[str] = (),
    *,
    where: str = "",
    echo: Callable[[str], None] = lambda line: None,
) -> Deletion:
    """Delete inputs of a data set; finish what a killed deletion left.

    Args:
        out: a complete folder of embeddings.
        ids: of inputs.
        where: a filter on columns: inputs of which it holds for a row.
        echo: gets a line now and then.

    Returns:
        What was deleted.

    Raises:
        ValueError: an id that is not in the folder, a wrong filter, or a folder that is incomplete or being written.
        OSError: the disk is full or the folder cannot be written.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from specvid.pipelines.search.where import matching

    folder = Folder(out)
    rows = Rows(folder)
    with only_writer(folder.path):
        folder.remove_leftovers()
        known = (
            parquet.read_table(folder.inputs, columns=["id"])["id"]
            .slice(0, folder.metadata()["inputs"])
            .combine_chunks()
        )
        before = folder.deleted_ids()
        wanted = dict.fromkeys(ids)
        strange = [name for name in wanted if not pc.is_in(pa.scalar(name), value_set=known).as_py()]
        if strange:
            raise ValueError(f"id {strange[0]!r} is not in {str(folder.path)!r}: give ids as its column `id` has them.")
        if where:
            mask, start = matching(rows, where), 0
            for batch in batches(rows.parts, ["id"]):
                wanted |= dict.fromkeys(batch.filter(pa.array(mask[start : start + len(batch)])).column(0).to_pylist())
                start += len(batch)
        new = [name for name in wanted if name not in before]
        if new:
            table = pa.table({"id": pa.array(sorted({*before, *new}), pa.string())})
            folder.write(folder.deleted, lambda path: pq.write_table(table, path))
        deleted = pa.array(sorted({*before, *new}), pa.string())
        gone = shards = 0
        for shard, part in enumerate(rows.parts):
            removed = _without(folder, shard, part, deleted)
            gone, shards = gone + removed, shards + bool(removed)
            if removed:
                echo(f"shard {shard}: {counted(removed, 'row')} less")
        gather_failures(folder, len(rows.parts))
        folder.npz.unlink(missing_ok=True)  # it holds all rows
    return Deletion(len(new), gone, shards, len(deleted))


def deleted_rows(folder: Folder, rows: Rows) -> np.ndarray | None:
    """The rows of inputs that are deleted and still stand in their shards, where a deletion was killed.

    Args:
        folder: of embeddings.
        rows: its rows.

    Returns:
        bool (N,); None where there are none.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    deleted = pa.array(sorted(folder.deleted_ids()), pa.string())
    if not len(deleted):
        return None
    parts = [pc.is_in(batch.column(0), value_set=deleted) for batch in batches(rows.parts, ["id"])]
    mask = np.concatenate([part.to_numpy(zero_copy_only=False) for part in parts])
    return mask if mask.any() else None


def kept_batches(rows: Rows, deleted: np.ndarray | None) -> Iterator[Any]:
    """All rows that are not deleted, with all columns, in little memory.

    Args:
        rows: of a data set.
        deleted: what `deleted_rows` says of it.

    Yields:
        Arrow record batches.
    """
    import pyarrow as pa

    start = 0
    for batch in batches(rows.parts, rows.schema.names):
        end = start + len(batch)
        yield batch if deleted is None else batch.filter(pa.array(~deleted[start:end]))
        start = end


def _without(folder: Folder, shard: int, part: Any, deleted: Any) -> int:
    """Write a shard, its failures and its warnings without deleted inputs; how many rows that were."""
    import pyarrow.compute as pc

    for own in (folder.failed_part(shard), folder.warnings_part(shard)):
        if own.exists():
            texts = parquet.read_table(own)
            stays = texts.filter(pc.invert(pc.is_in(texts["id"], value_set=deleted)))
            if len(stays) < len(texts):
                write_texts(folder, own, stays)
    ids = parquet.read_table(part, columns=["id"])["id"]
    if not pc.any(pc.is_in(ids, value_set=deleted)).as_py():
        return 0
    table = parquet.read_table(part)
    stays = table.filter(pc.invert(pc.is_in(table["id"], value_set=deleted)))
    write_rows(folder, shard, stays.combine_chunks())
    return len(table) - len(stays)
