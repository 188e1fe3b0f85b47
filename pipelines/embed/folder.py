"""The folder of an embedding: what lies in it, and how it is written.

    embeddings/part-000000.parquet ...   the data set: shard k holds the inputs k·S .. (k+1)·S - 1 of the sorted list
    errors.parquet                       id, path, reason, shard: written when all shards are there
    warnings.parquet                        id, path, warning, shard, lost (frames stand in for lost ones): likewise
    inputs.parquet                       the sorted list
    deleted.parquet                      ids of deleted inputs, where there are any
    embed.json                           settings, network, counts, what paths are relative to: written when the list
                                         stands
    index/                               of `specvid search build`
    map/                                 of `specvid browse`
    .errors/, .warnings/                    those of each shard; .writing/: unfinished files

A shard is a function of its inputs and the settings alone, and it appears in one rename. So a job may be killed at any
moment, be done by any number of processes, even by two by mistake: the bytes that stand at the end are the same.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from specvid import parquet
from specvid.files import recover, replacing_file
from specvid.reading import read_json, require_plain_files


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
        self.map = self.path / "map"
        self.errors, self.npz = self.path / "errors.parquet", self.path / "embeddings.npz"
        self.deleted, self._writing = self.path / "deleted.parquet", self.path / ".writing"

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
            ValueError: the folder holds no embeddings, or a device or pipe.
        """
        try:
            metadata = read_json(self.metadata_file)
            require_plain_files(self.path)
            kinds = {"config": dict, "network": dict, "inputs": int, "shards": int}
            for name, kind in kinds.items():
                if not isinstance(metadata.get(name), kind):
                    raise ValueError(f"{str(self.metadata_file)!r}: {name} is {str(metadata.get(name))[:60]!r}.")
            return metadata
        except ValueError as error:
            features = self.path / "features.parquet"  # what `specvid eval reid` writes
            other = f", or {str(features)!r} to `specvid search query`" if features.is_file() else ""
            fix = f"Give the folder that `specvid embed --out` wrote{other}."
            raise ValueError(f"{str(self.path)!r} holds no embeddings: {error} {fix}") from None

    def deleted_ids(self) -> set[str]:
        """The ids of inputs that were deleted: no shard that is written holds rows of them.

        Raises:
            ValueError: deleted.parquet is damaged.
        """
        import pyarrow as pa

        if not self.deleted.exists():
            return set()
        try:
            return set(parquet.read_table(self.deleted, columns=["id"])["id"].to_pylist())
        except (pa.ArrowException, OSError, KeyError) as error:
            cause = str(error).splitlines()[0]
            raise ValueError(f"{str(self.deleted)!r} is damaged, or was altered: {cause}") from None

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
        with replacing_file(target, folder=self._writing) as path:
            write(path)

    def remove_leftovers(self) -> None:
        """Remove what killed processes left half written; only when no other one writes."""
        shutil.rmtree(self._writing, ignore_errors=True)

    def clear(self) -> None:
        """Remove an embedding, and nothing else that may lie in the folder."""
        self.metadata_file.unlink(missing_ok=True)  # first: without it the rest counts for nothing
        recover(self.path / "index")  # a ready one beside it goes too
        for folder in (self.embeddings, self.failures, self._warned, self._writing, self.path / "index", self.map):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.errors, self.warnings, self.npz, self.inputs, self.deleted):
            file.unlink(missing_ok=True)
