"""`embed`: from inputs to a folder of Parquet shards, or to what is missing in it."""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specvid import __version__
from specvid.config import differences, to_dict
from specvid.datasets.clips.sampling import frames_needed
from specvid.files import write_json
from specvid.pipelines.embed.config import EmbedConfig
from specvid.pipelines.embed.layout import Folder
from specvid.pipelines.embed.network import Network
from specvid.pipelines.embed.outcome import Outcome, disk_error
from specvid.pipelines.embed.progress import Progress
from specvid.pipelines.embed.shards import Embedded, count_short, gather_failures, schema_of, write_shard
from specvid.pipelines.embed.sources import Found, find_inputs
from specvid.pipelines.embed.stream import Shard, Stream, reader_of, write_behind
from specvid.pipelines.engine.devices import select_device
from specvid.pipelines.engine.processes import Processes

BATCH = {"cpu": 4, "mps": 16, "cuda": 32}


def embed(
    inputs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    config: EmbedConfig,
    *,
    path_column: str = "path",
    tell: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Embed ``inputs`` (see `find_inputs`) into the folder ``out`` (see `layout`), or what is missing there.

    ``tell``: gets a line for each thing worth saying, failures among them. Under torchrun each process takes its share
    of the shards; the one that finds all of them there writes errors.parquet.
    Raises ``ValueError`` for wrong settings, or a folder that was embedded otherwise; ``OSError`` for a disk that gives
    out. A file that fails raises nothing: it is counted, and named in errors.parquet.
    """
    begun = time.perf_counter()
    processes = Processes.here()
    job = Job.open(out, config, processes)
    if job.network.unset and processes.rank == 0:
        tell(
            f"warning: no weights for {config.net.model!r}, it is only initialised (seed {config.net.seed}): "
            "give --weights FILE, or --run."
        )
    missing = processes.agree(lambda: job.prepare(find_inputs(inputs, path_column=path_column), tell))
    own = missing[processes.rank :: processes.size]
    if config.running.engine == "ray":
        from specvid.pipelines.embed.on_ray import run_on_ray

        if processes.size > 1:
            raise ValueError("engine 'ray' shares the work itself: start it without torchrun.")
        done, frames = run_on_ray(job, own, tell)
    else:
        done, frames = job.run(own, tell)
    return job.finish(done, frames, time.perf_counter() - begun)


@dataclass
class Job:
    """A folder, its settings and the network of this process."""

    folder: Folder
    config: EmbedConfig
    network: Network
    batch_size: int

    @classmethod
    def open(cls, out: str | os.PathLike[str], config: EmbedConfig, processes: Processes) -> "Job":
        running = config.running
        device = select_device(running.device, precision=running.precision, local_rank=processes.local)
        network = Network(config.net, device=device, precision=running.precision, sampling=config.windows.sampling)
        return cls(Folder(out), config, network, running.batch_size or BATCH[network.device.type])

    def facts(self) -> dict[str, Any]:
        """All that the bytes of a shard depend on, besides its inputs."""
        content = to_dict(self.config)
        del content["running"], content["output"]["npz"]
        net = content.pop("net")
        for name in ("run", "weights"):
            if net[name] and os.path.exists(net[name]):
                net[name] = os.path.abspath(net[name])
        network = {**dataclasses.asdict(self.network.facts), "source": net}
        computing = {"precision": self.config.running.precision, "batch_size": self.batch_size}
        return {"specvid": __version__, "network": network, **content, "computing": computing}

    def prepare(self, found: Found, tell: Callable[[str], None]) -> list[int]:
        """Make the folder, or check that it is of this job; returns the numbers of the missing shards."""
        import pyarrow.parquet as pq

        for suffix, count in found.skipped.most_common(8):
            tell(f"{count} files ({suffix}) are neither videos nor images: left out")
        if found.repeated:
            tell(f"{found.repeated} inputs are named more than once: kept once")
        size = self.config.output.shard_size
        shards = -(-len(found.table) // size)
        about = {**self.facts(), "inputs": len(found.table), "shards": shards}
        folder = self.folder
        if folder.about.exists():
            self._check(folder.facts(), about, found.table)
        if not folder.about.exists():
            folder.put(folder.inputs, lambda path: pq.write_table(found.table, path))
            try:
                write_json(folder.about, about)
            except OSError as error:
                raise disk_error(error, folder.about) from error
        folder.tidy()
        if self.config.running.retry_errors:
            for shard in range(shards):
                if folder.failed_part(shard).exists():
                    folder.part(shard).unlink(missing_ok=True)
        missing = folder.missing(shards)
        if missing:
            for stale in (folder.errors, folder.npz):
                stale.unlink(missing_ok=True)
            if len(missing) < shards:
                tell(f"{shards - len(missing)} of {shards} shards are there already, {len(missing)} are missing")
        return missing

    def _check(self, old: dict[str, Any], new: dict[str, Any], table: Any) -> None:
        """ValueError where the folder is of other settings or inputs; clears it where that was asked for."""
        changed = differences(old, new, but=frozenset({"inputs", "shards"}))
        if not changed and (count := _other_inputs(self.folder.inputs, table)):
            changed = [f"inputs: {count}"]
        if not changed:
            return
        if not self.config.running.overwrite:
            raise ValueError(
                f"{str(self.folder.path)!r} was embedded otherwise ({'; '.join(changed)}). "
                "Choose another --out, or throw the old one away with --overwrite."
            )
        self.folder.clear()

    def run(self, shards: Sequence[int], tell: Callable[[str], None]) -> tuple[int, int]:
        """Embed some shards; returns how many inputs and frames that were."""
        facts, table = self._agreed()
        size = self.config.output.shard_size
        work = [(shard, range(shard * size, min((shard + 1) * size, len(table)))) for shard in shards]
        if not work:
            return 0, 0
        schema = schema_of(table, {name: facts[name] for name in self.facts()})
        with Progress(sum(len(rows) for _, rows in work), tell, table) as progress:
            write_behind(
                (
                    (self.folder, shard, table, results, schema)
                    for shard, results in self._results(table, work, progress)
                ),
                write_shard,
            )
            return progress.done, progress.frames

    def _results(self, table: Any, work: Sequence[Shard], progress: Progress) -> Iterator[tuple[int, list[Embedded]]]:
        running, output = self.config.running, self.config.output
        stream = Stream(
            self.network, reader_of(self.network, self.config.windows), self.batch_size, l2=output.l2,
            dtype=output.dtype, workers=running.workers, timeout=running.timeout, tell=progress.step,
        )  # fmt: skip
        return stream.results(table, work)

    def _agreed(self) -> tuple[dict[str, Any], Any]:
        """The facts and inputs that stand in the folder, which another process may have written."""
        import pyarrow.parquet as pq

        try:
            facts = self.folder.facts()
        except ValueError as error:
            raise ValueError(f"{error} Processes on several machines need a folder that all of them see.") from None
        here = self.network.facts.weights
        if facts["network"]["weights"] != here:
            raise ValueError(f"this process has other weights ({here[:12]}) than the first: give all the same file.")
        return facts, pq.read_table(self.folder.inputs)

    def finish(self, done: int, frames: int, seconds: float) -> Outcome:
        """Gather the failures where all shards are there; the counts."""
        import pyarrow.parquet as pq

        facts = self.folder.facts()
        complete = not self.folder.missing(facts["shards"])
        rows = failed = short = 0
        if complete:
            rows = sum(pq.read_metadata(part).num_rows for part in self.folder.parts())
            failed = gather_failures(self.folder, facts["shards"])
            spec = self.network.input
            short = count_short(self.folder, frames_needed(spec.frames, spec.stride, self.network.facts.sampling))
            if self.config.output.npz:
                from specvid.pipelines.embed.npz import write_npz

                write_npz(self.folder)
            self.folder.tidy()
        return Outcome(self.folder.path, facts["inputs"], failed, short, rows, done, frames, seconds, complete)


def _other_inputs(path: Path, table: Any) -> str:
    """How the list of a folder differs from ``table``, "" where it does not."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    new, old = pq.read_table(pa.BufferReader(sink.getvalue())), pq.read_table(path)
    if sink.getvalue().to_pybytes() == path.read_bytes() or new.equals(old):
        return ""
    gained = pc.sum(pc.invert(pc.is_in(new["id"], value_set=old["id"].combine_chunks()))).as_py() or 0
    lost = pc.sum(pc.invert(pc.is_in(old["id"], value_set=new["id"].combine_chunks()))).as_py() or 0
    return f"{gained} more and {lost} gone" if gained or lost else "other columns"
