"""The work of one process on an embedding: a folder, the settings, a network, and the shards that it does."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from specvid import __version__
from specvid.config import differences, to_dict
from specvid.files import write_json
from specvid.pipelines.embed.bases import RELATIVE_TO, Bases, current_base
from specvid.pipelines.embed.config import EmbedConfig
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.growing import Inputs, new_inputs, other_inputs, read_inputs, shard_rows
from specvid.pipelines.embed.inputs import FoundInputs
from specvid.pipelines.embed.network import Network
from specvid.pipelines.embed.progress import Progress
from specvid.pipelines.embed.shards import ROW_GROUP, VideoResult, schema_of, write_shard
from specvid.pipelines.embed.stream import Shard, Stream, reader_for, write_behind
from specvid.pipelines.embed.tracks import noun_of
from specvid.pipelines.engine.devices import resolve_precision, select_device, slow_precision
from specvid.pipelines.engine.processes import Processes
from specvid.text import counted

BATCH = {"cpu": 4, "mps": 16, "cuda": 32}
"""Clips at a time on each kind of device, by default."""
_CHECKSUM = "sha256 of the weights"


@dataclass
class Job:
    """A folder, its settings and the network of this process.

    Attributes:
        folder: where the shards go.
        config: the settings.
        network: from clips to vectors.
        batch_size: clips in each batch.
    """

    folder: Folder
    config: EmbedConfig
    network: Network
    batch_size: int

    @classmethod
    def open(cls, out: str | os.PathLike[str], config: EmbedConfig, processes: Processes) -> "Job":
        """Open the network on the device of this process; nothing is written yet.

        Args:
            out: the folder.
            config: the settings.
            processes: this process among others.

        Returns:
            The job.

        Raises:
            ValueError: a wrong device, network or feature.
        """
        job = resolve_precision(config.job)
        config = dataclasses.replace(config, job=job)
        network = Network(
            config.network,
            changes=config.input,
            feature=config.output.feature,
            device=select_device(job.device, precision=job.precision, local_rank=processes.local),
            precision=job.precision,
            tf32=job.tf32,
            sampling=config.windows.sampling,
        )
        return cls(Folder(out), config, network, job.batch_size or BATCH[network.device.type])

    def metadata(self) -> dict[str, Any]:
        """All that the bytes of a shard depend on, besides its inputs; JSON-able."""
        config = to_dict(self.config)
        del config["job"], config["output"]["npz"], config["network"]["trust"]
        for name in ("run", "weights"):
            if (path := config["network"][name]) and os.path.exists(path):
                config["network"][name] = os.path.abspath(path)
        job = self.config.job
        computing = {"precision": job.precision, "tf32": job.tf32, "batch_size": self.batch_size}
        network = dataclasses.asdict(self.network.metadata)
        return {"specvid": __version__, "network": network, "config": config, "computing": computing}

    def prepare(self, found: FoundInputs, echo: Callable[[str], None]) -> list[int]:
        """Create the folder, or check that it is of this job.

        Args:
            found: all inputs.
            echo: gets a line for each thing that the user should know.

        Returns:
            Numbers of the missing shards.

        Raises:
            ValueError: the folder was embedded with other settings or inputs.
        """
        import pyarrow.parquet as pq

        device, precision = self.network.device.type, self.config.job.precision
        echo(f"{self.config.network.title} on {device} in {precision}, {counted(self.batch_size, 'clip')} at a time")
        if slow := slow_precision(precision, device):
            echo(slow)
        for note in found.notes():
            echo(note)
        folder, table, lengths = self.folder, found.table, [len(found.table)]
        if folder.metadata_file.exists():
            self._check(folder.metadata(), found.table)
        is_new = not folder.metadata_file.exists()
        if not is_new:
            table, lengths = self._grown(found.table, echo)
        ranges = shard_rows(lengths, self.config.output.shard_size)
        shards = len(ranges)
        metadata = {**self.metadata(), "inputs": len(table), "shards": shards}
        if len(lengths) > 1:
            metadata["lists"] = lengths
        if is_new or len(table) > folder.metadata()["inputs"]:
            before = [] if is_new else folder.metadata().get(RELATIVE_TO, [None] * (len(lengths) - 1))
            bases = [*before, current_base(table.slice(len(table) - lengths[-1]), folder.path)]
            if any(bases):
                metadata[RELATIVE_TO] = bases
            folder.write(folder.inputs, lambda path: pq.write_table(table, path, row_group_size=ROW_GROUP))
            write_json(folder.metadata_file, metadata)
        folder.remove_leftovers()
        if self.config.job.retry_errors:
            for shard in range(shards):
                if folder.failed_part(shard).exists():
                    folder.part(shard).unlink(missing_ok=True)
        missing = folder.missing(shards)
        if missing:
            for stale in (folder.errors, folder.warnings, folder.npz):
                stale.unlink(missing_ok=True)
            if len(missing) < shards:
                echo(f"{shards - len(missing)} of {counted(shards, 'shard')} done already, {len(missing)} missing")
        return missing

    def _grown(self, table: Any, echo: Callable[[str], None]) -> tuple[Any, list[int]]:
        """All inputs of a folder that is there, and how many each of its lists has: with --append one more."""
        import pyarrow as pa

        old = read_inputs(self.folder)
        if not self.config.job.append:
            return old.table, old.lengths
        fresh, left = new_inputs(old, table)
        known, gone = len(table) - len(fresh), self.folder.deleted_ids()
        deleted = len(gone.intersection(table["id"].to_pylist())) if gone else 0
        left_out = f", {deleted} deleted before and left out" if deleted else ""
        echo(
            f"appending {counted(len(fresh), noun_of(table))}; {known - deleted} of the list "
            f"{'is' if known - deleted == 1 else 'are'} there already{left_out}"
        )
        if left and len(fresh):
            echo(f"the data set does not have {', '.join(left)}: left out of the rows of these crops")
        if known and old.bases.guessed:
            echo("which folder its relative paths belong to the data set does not say: taken to be this one")
        if not len(fresh):
            return old.table, old.lengths
        return pa.concat_tables([old.table, fresh], promote_options="default"), [*old.lengths, len(fresh)]

    def _check(self, old: dict[str, Any], table: Any) -> None:
        """ValueError where the folder is of other settings or inputs; clears it where that was asked for."""
        changed = differences(
            _comparable(old), _comparable(self.metadata()), but=frozenset({"inputs", "shards", "lists", RELATIVE_TO})
        )
        if any(one.partition(":")[0] in to_dict(self.config.network) for one in changed):  # of which it follows
            changed = [one for one in changed if not one.startswith(f"{_CHECKSUM}: ")]
        hint = ""
        if not changed and not self.config.job.append and (other := other_inputs(read_inputs(self.folder), table)):
            changed, hint = [f"inputs: {other}"], ", add what is new with --append"
        if not changed:
            return
        if self.config.job.append:
            raise ValueError(
                f"{str(self.folder.path)!r} was embedded otherwise ({'; '.join(changed)}), and vectors of both cannot "
                "be compared. Add to it with the same network and options as then, or choose another --out."
            )
        if not self.config.job.overwrite:
            raise ValueError(
                f"{str(self.folder.path)!r} was embedded otherwise ({'; '.join(changed)}). "
                f"Choose another --out{hint}, or throw the old one away with --overwrite."
            )
        self.folder.clear()

    def run(self, shards: Sequence[int], echo: Callable[[str], None]) -> tuple[int, int]:
        """Embed some shards.

        Args:
            shards: their numbers.
            echo: gets a line now and then, and one for each failure.

        Returns:
            How many inputs and frames that were.
        """
        metadata, (table, lengths, bases) = self._read_agreed()
        ranges = shard_rows(lengths, self.config.output.shard_size)
        work = [(shard, ranges[shard]) for shard in shards]
        if not work:
            return 0, 0
        deleted = self.folder.deleted_ids()
        schema = schema_of(table, {name: metadata[name] for name in self.metadata()})
        with Progress(sum(len(rows) for _, rows in work), echo, table) as progress:
            write_behind(
                (
                    (self.folder, shard, table, _but(results, table, deleted), schema)
                    for shard, results in self._results(table, work, bases, progress)
                ),
                write_shard,
            )
            return progress.done, progress.frames

    def _results(
        self, table: Any, work: Sequence[Shard], bases: Bases, progress: Progress
    ) -> Iterator[tuple[int, list[VideoResult]]]:
        job, output = self.config.job, self.config.output
        stream = Stream(
            self.network,
            reader_for(self.network, self.config.windows),
            self.batch_size,
            l2=output.l2,
            dtype=output.dtype,
            workers=job.workers,
            timeout=job.timeout,
            on_result=progress.step,
        )
        return stream.results(table, work, bases)

    def _read_agreed(self) -> tuple[dict[str, Any], Inputs]:
        """The metadata and inputs that stand in the folder, which another process may have written."""
        try:
            metadata = self.folder.metadata()
        except ValueError as error:
            raise ValueError(f"{error} Processes on several machines need a folder that all of them see.") from None
        here = self.network.metadata.weights
        if metadata["network"]["weights"] != here:
            raise ValueError(f"this process has other weights ({here[:12]}) than the first: give all the same file.")
        return metadata, read_inputs(self.folder)


def _comparable(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata without the options of the clips: ``network.input`` has the clips that they come to. The checksum of the
    weights has a name of its own, beside their file.
    """
    config, network = metadata.get("config"), metadata.get("network")
    if isinstance(config, dict):  # else altered: it differs
        metadata = metadata | {"config": {name: value for name, value in config.items() if name != "input"}}
    if isinstance(network, dict):
        renamed = {_CHECKSUM if name == "weights" else name: value for name, value in network.items()}
        metadata = metadata | {"network": renamed}
    return metadata


def _but(results: list[VideoResult], table: Any, deleted: set[str]) -> list[VideoResult]:
    """The results of inputs that are not deleted."""
    return [one for one in results if table["id"][one.row].as_py() not in deleted] if deleted else results
