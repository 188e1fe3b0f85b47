"""`embed`: agree on what is missing, share it among processes or Ray actors, gather the failures.

On Ray (``pip install specvid[ray]``) the shards are the same, written by actors through Ray Data: Ray hands out the
numbers of the missing shards, and each actor holds the network and writes whole shards into the folder, exactly as a
local process does. So the bytes are the same, a lost node costs its unfinished shard, and Ray moves nothing but
numbers. The folder must lie where all nodes see it.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from specvid.datasets.clips.sampling import frames_needed
from specvid.files import only_writer
from specvid.pipelines.embed.config import EmbedConfig
from specvid.pipelines.embed.growing import read_inputs
from specvid.pipelines.embed.inputs import find_inputs
from specvid.pipelines.embed.job import Job
from specvid.pipelines.embed.shards import count_short, gather_failures, write_npz
from specvid.pipelines.embed.tracks import noun_of
from specvid.pipelines.engine.processes import Processes
from specvid.text import counted, one_line


@dataclass(frozen=True)
class Outcome:
    """How an embedding ended.

    Attributes:
        out: the folder.
        videos: all inputs.
        failed: those in errors.parquet.
        short: those with fewer frames than a clip, of which some frames were taken more than once.
        lost: those in which other frames stand in for lost ones; warnings.parquet says which.
        unusual: others that are read, though not as their headers announce; likewise.
        rows: of the data set.
        done: inputs done now.
        frames: frames that went through the network now.
        seconds: that it took now.
        complete: all shards are there.
        deleted: inputs that were deleted.
        noun: what an input is, see `noun_of`.
    """

    out: Path
    videos: int
    failed: int
    short: int
    lost: int
    unusual: int
    rows: int
    done: int
    frames: int
    seconds: float
    complete: bool
    deleted: int = 0
    noun: str = "video"

    def line(self) -> str:
        """The last line of the command."""
        speed = (
            f"{self.done / self.seconds:.1f} {self.noun}s/s, {self.frames / self.seconds:.0f} frames/s"
            if self.done
            else ""
        )
        if not self.complete:
            return f"this process embedded its share, {counted(self.done, self.noun)}" + (
                f" ({speed})" if speed else ""
            )
        now = f"; now {self.done} ({speed})" if self.done else "; nothing was missing"
        out, errors = (one_line(str(path)) for path in (self.out, self.out / "errors.parquet"))
        failed = f"{self.failed} failed, see {errors}" if self.failed else "0 failed"
        good = self.videos - self.failed - self.deleted
        short = f"; {self.short} shorter than a clip, with frames taken more than once" if self.short else ""
        warned = [f"{self.lost} with lost frames"] * bool(self.lost)
        warned += [f"{self.unusual} not as their headers announce"] * bool(self.unusual)
        lost = f"; {', '.join(warned)}, see {one_line(str(self.out / 'warnings.parquet'))}" if warned else ""
        rows = f"{counted(self.rows, 'row')} in {out}"
        deleted = f"; {self.deleted} deleted" if self.deleted else ""
        return f"embedded {good} of {counted(self.videos, self.noun)}, {rows}{now}{short}{lost}{deleted}; {failed}"


def embed(
    inputs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    config: EmbedConfig,
    *,
    path_column: str = "path",
    encoding: str = "",
    echo: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Embed videos into a folder, or what is missing there.

    Under torchrun each process takes its share of the shards; the one that finds all of them there writes
    errors.parquet. A file that fails raises nothing: it is counted, and named in errors.parquet.

    Args:
        inputs: files, folders, globs, lists, tables, see `find_inputs`.
        out: the folder, see `specvid.pipelines.embed.folder`.
        config: the settings.
        path_column: the column of a table that names the file.
        encoding: of lists and tables, if not UTF-8.
        echo: gets a line for each thing that the user should know, failures among them.

    Returns:
        How it ended.

    Raises:
        ValueError: wrong settings, a folder that was embedded with others, or one that another job is writing.
        OSError: the disk is full or the folder cannot be written.
    """
    begun = time.perf_counter()
    processes = Processes.here()
    job = Job.open(out, config, processes)
    if not job.network.trained and processes.rank == 0:
        echo(
            f"warning: no weights for {config.network.model!r}, it is only initialised (seed {config.network.seed}): "
            "give --weights FILE, or --run."
        )
    if config.job.engine == "ray" and processes.size > 1:
        raise ValueError("engine 'ray' shares the work itself: start it without torchrun.")
    with ExitStack() as held:

        def prepare() -> list[int]:
            found = find_inputs(inputs, path_column=path_column, encoding=encoding)
            let_others_join = held.enter_context(only_writer(job.folder.path))
            missing = job.prepare(found, echo)
            let_others_join()
            return missing

        own = processes.agree(prepare)[processes.rank :: processes.size]
        if processes.rank > 0:
            held.enter_context(only_writer(job.folder.path, joins=True))
        done, frames = _run_on_ray(job, own, echo) if config.job.engine == "ray" else job.run(own, echo)
        return finish(job, done, frames, time.perf_counter() - begun, is_alone=processes.size == 1)


def finish(job: Job, done: int, frames: int, seconds: float, *, is_alone: bool = True) -> Outcome:
    """Gather the failures where all shards are there, and count.

    Args:
        job: whose folder it is.
        done: inputs done now.
        frames: frames that went through the network now.
        seconds: that it took now.
        is_alone: no other process may be gathering at the same time; else what killed ones left half written stays
            until the next start.

    Returns:
        How the embedding ended.
    """
    import pyarrow.parquet as pq

    metadata = job.folder.metadata()
    complete = not job.folder.missing(metadata["shards"])
    rows = failed = short = lost = unusual = 0
    if complete:
        rows = sum(pq.read_metadata(part).num_rows for part in job.folder.parts())
        failed, lost, unusual = gather_failures(job.folder, metadata["shards"])
        spec = job.network.input
        needed = frames_needed(spec.frames, spec.stride, job.network.metadata.sampling)
        short = count_short(job.folder, needed, tracklets=not job.network.of_images)  # of which none counts twice
        if job.config.output.npz:
            write_npz(job.folder)
        if is_alone:
            job.folder.remove_leftovers()
    counts = (failed, short, lost, unusual, rows, done, frames)
    deleted, noun = len(job.folder.deleted_ids()), noun_of(read_inputs(job.folder).table)
    return Outcome(job.folder.path, metadata["inputs"], *counts, seconds, complete, deleted, noun)


class EmbedShards:
    """A Ray actor: batches of shard numbers in, counts out.

    Args:
        out: the folder.
        config: the settings.
    """

    def __init__(self, out: str, config: EmbedConfig) -> None:
        self.job = Job.open(out, config, Processes())

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """Embed the shards of a batch; one row of counts and printed lines for each."""
        lines: list[str] = []
        counts = [self.job.run([int(shard)], lines.append) for shard in batch["shard"]]
        printed = ["\n".join(lines)] + [""] * (len(counts) - 1)
        return {
            "videos": np.array([videos for videos, _ in counts]),
            "frames": np.array([frames for _, frames in counts]),
            "lines": printed,
        }


def _run_on_ray(job: Job, shards: Sequence[int], echo: Callable[[str], None]) -> tuple[int, int]:
    """Embed ``shards`` on ``job.actors`` actors (with a GPU each where there are GPUs); inputs and frames done."""
    if not shards:
        return 0, 0
    try:
        import ray
        import ray.data
    except ImportError:
        raise ImportError(
            "engine 'ray' is not installed. Run `pip install specvid[ray]`, or use --engine local."
        ) from None
    gpu = job.network.device.type == "cuda"
    owned = not ray.is_initialized()
    if owned:
        ray.init(logging_level=logging.WARNING, log_to_driver=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        data = ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards)).map_batches(
            EmbedShards,
            fn_constructor_args=(str(job.folder.path.resolve()), job.config),
            batch_size=1,
            concurrency=min(job.config.job.actors, len(shards)),
            num_cpus=1,
            num_gpus=1 if gpu else 0,
        )
        videos = frames = 0
        for number, row in enumerate(data.iter_rows(), start=1):
            videos, frames = videos + int(row["videos"]), frames + int(row["frames"])
            for line in filter(None, str(row["lines"]).splitlines()):
                echo(line)
            echo(f"{number} of {counted(len(shards), 'shard')} done")
        return videos, frames
    finally:
        if owned:
            ray.shutdown()
