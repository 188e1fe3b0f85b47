"""The folder of an embedding.

    embeddings/part-000000.parquet ...   the data set: shard k holds the inputs k·S .. (k+1)·S - 1 of the sorted list
    errors.parquet                       id, path, reason, shard: written when all shards are there
    inputs.parquet                       the sorted list
    embed.json                           settings, network, counts: written when the list stands
    index/                               of `specvid search build`
    .errors/                             failures of each shard; .writing/: files in the making

A shard is a function of its inputs and the settings alone, and it appears in one rename. So a job may be killed at any
moment, be done by any number of processes, even by two by mistake: the bytes that stand at the end are the same.
"""

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from specvid.pipelines.embed.outcome import disk_error


class Folder:
    """Reads and writes one folder of embeddings."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.embeddings, self.failures = self.path / "embeddings", self.path / ".errors"
        self.inputs, self.about = self.path / "inputs.parquet", self.path / "embed.json"
        self.errors, self.npz = self.path / "errors.parquet", self.path / "embeddings.npz"
        self._writing = self.path / ".writing"

    def part(self, shard: int) -> Path:
        return self.embeddings / f"part-{shard:06d}.parquet"

    def failed_part(self, shard: int) -> Path:
        return self.failures / f"part-{shard:06d}.parquet"

    def missing(self, shards: int) -> list[int]:
        """Numbers of the shards that are not there."""
        there = set(os.listdir(self.embeddings)) if self.embeddings.is_dir() else set()
        return [shard for shard in range(shards) if self.part(shard).name not in there]

    def facts(self) -> dict[str, Any]:
        """embed.json. Raises ``ValueError`` where the folder holds no embedding."""
        try:
            return json.loads(self.about.read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(
                f"{str(self.path)!r} holds no embeddings ({self.about.name}: {error.strerror}). "
                "Give the folder that `specvid embed --out` wrote."
            ) from None

    def parts(self) -> list[Path]:
        """The shards in order. Raises ``ValueError`` where some are missing."""
        facts = self.facts()
        missing = self.missing(facts["shards"])
        if missing:
            raise ValueError(
                f"{str(self.path)!r} is not complete: {len(missing)} of {facts['shards']} shards are missing. "
                "Start its `specvid embed` again: it does only what is missing."
            )
        return [self.part(shard) for shard in range(facts["shards"])]

    def put(self, target: Path, write: Callable[[Path], None]) -> None:
        """``write`` a file aside, force it onto the disk, and give it its name in one rename.

        Raises ``OSError``, one clear line, where the disk is full or the folder cannot be written.
        """
        staging = self._writing / f"{target.name}.{socket.gethostname()}.{os.getpid()}"
        try:
            for folder in (self._writing, target.parent):
                folder.mkdir(parents=True, exist_ok=True)
            write(staging)
            with staging.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(staging, target)
        except OSError as error:
            staging.unlink(missing_ok=True)
            raise disk_error(error, target) from error

    def tidy(self) -> None:
        """Removes what killed processes left half written; only when no other one writes."""
        shutil.rmtree(self._writing, ignore_errors=True)

    def clear(self) -> None:
        """Removes an embedding, and nothing else that may lie in the folder."""
        self.about.unlink(missing_ok=True)  # first: without it the rest counts for nothing
        for folder in (self.embeddings, self.failures, self._writing, self.path / "index"):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.errors, self.npz, self.inputs):
            file.unlink(missing_ok=True)


def batches(parts: list[Path], columns: list[str] | None = None, *, rows: int = 16384) -> Iterator[Any]:
    """The rows of the shards in order as Arrow record batches: a data set of any size in little memory."""
    import pyarrow.parquet as pq

    for part in parts:
        with pq.ParquetFile(part) as file:
            yield from file.iter_batches(batch_size=rows, columns=columns)
