"""Embedding against the slower of its two halves, in one run: decoding alone, the network alone, and both with writing.

All three do the same clips of the same files, turn by turn, round by round; the ratio of a round is the rate of the
whole job over that of the slower half, and the median of the rounds is what counts. *Decoding alone* is the job's own
decoding processes, whose clips nobody uses; *network alone* is the job's own batches, made before the clock starts.

Also here: memory over ten thousand videos.
"""

import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from specvid.cores import usable_cores
from specvid.pipelines.embed import EmbedConfig, JobConfig, OutputConfig, WindowConfig
from specvid.pipelines.embed.feed import read_ahead
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.inputs import Sources, find_inputs
from specvid.pipelines.embed.job import Job
from specvid.pipelines.embed.launch import finish
from specvid.pipelines.embed.stream import reader_for
from specvid.pipelines.engine.log import silent
from specvid.pipelines.engine.processes import Processes
from specvid.pipelines.networks.config import InputConfig, NetworkConfig
from specvid.text import to_text
from specvid.tools.bench.process_memory import resident_mebibytes
from specvid.tools.timing import Stopwatch, torch_threads


@dataclass(frozen=True)
class EmbedRow:
    """Rates of embedding and of its two halves, medians over the rounds.

    Attributes:
        videos: how many, each round.
        decoding: videos per second of decoding alone.
        network: videos per second of the network alone.
        job: videos per second of all of it.
        ratio: rate of the job to that of the slower half.
        cpu_ratio: CPU time of the network alone over that of the job's main process, which runs the network, collects
            batches and writes: what the job adds to it, on a machine whose cores others use too.
        decoding_cores: cores that decoding alone keeps busy: CPU seconds of all its processes in a second.
        job_cores: likewise of the job. Where it is what the machine has, the job cannot be faster.
    """

    videos: int
    decoding: float
    network: float
    job: float
    ratio: float
    cpu_ratio: float
    decoding_cores: float
    job_cores: float


def bench_embed(
    videos: Sequence[str],
    *,
    model: str = "r3d_18",
    frames: int | None = None,
    size: int | None = None,
    count: int = 64,
    rounds: int = 5,
    workers: int = 1,
    batch_size: int = 4,
    threads: int = 1,
    device: Literal["auto", "cpu", "cuda", "mps"] = "cpu",
    status: Callable[[str], None] = silent,
) -> EmbedRow:
    """Time the embedding of videos, one clip each.

    Args:
        videos: files and folders, as ``specvid embed`` takes them.
        model: backbone.
        frames: of a clip; the backbone's own if not given.
        size: height and width of a frame, px; the backbone's own if not given.
        count: videos per round.
        rounds: how often.
        workers: decoding processes.
        batch_size: clips at a time.
        threads: of the network on the CPU; with ``workers`` no more than the cores, or the halves compete for them.
        device: of the network.
        status: called with a line for each round.

    Raises:
        ValueError: a video cannot be read.
    """
    table = find_inputs(videos).table
    table = table.take(np.arange(min(count, len(table))))
    windows = WindowConfig(window="uniform")
    config = EmbedConfig(
        NetworkConfig(model=model),
        input=InputConfig(frames=frames, size=size),
        windows=windows,
        job=JobConfig(device=device, workers=workers, batch_size=batch_size),
    )
    with torch_threads(threads), tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "list.txt"
        listed.write_bytes(b"\0".join(os.path.abspath(name) for name in table["file"].to_pylist()) + b"\0")
        job = Job.open(folder, config, Processes())
        sources = Sources(table, range(len(table)))
        reader = reader_for(job.network, windows)

        def decode() -> list[torch.Tensor]:
            clips: list[torch.Tensor] = []
            for place, chunk in read_ahead(sources, reader, workers=workers):
                if chunk.clips is None:
                    raise ValueError(f"{sources[place].path}: {chunk.error}. Give videos that can all be read.")
                clips += chunk.clips
            return clips

        clips = decode()
        batches = [torch.stack(clips[start : start + batch_size]) for start in range(0, len(clips), batch_size)]

        def compute() -> None:
            for batch in batches:
                job.network(batch).cpu()

        def embed() -> None:
            out = Path(folder) / "out"
            shutil.rmtree(out, ignore_errors=True)
            job.folder = Folder(out)
            job.prepare(find_inputs([str(listed)]), status)
            job.run(range(-(-len(table) // config.output.shard_size)), status)
            finish(job, 0, 0, 1.0)

        embed()
        rates: list[list[float]] = []
        shares: list[float] = []
        cores: list[tuple[float, float]] = []
        for number in range(rounds):
            watches = [Stopwatch() for _ in range(3)]
            for watch, work in zip(watches, (decode, compute, embed), strict=True):
                with watch:
                    work()
            rates.append([len(table) / watch.seconds for watch in watches])
            shares.append(watches[1].cpu / watches[2].cpu)
            busy = [watch.cpu_of_all / watch.seconds for watch in watches]
            cores.append((busy[0], busy[2]))
            status(f"round {number + 1} of {rounds}: " + ", ".join(f"{rate:.1f}" for rate in rates[-1]) + " videos/s")
    decoding, computing, together = (statistics.median(column) for column in zip(*rates, strict=True))
    ratio = statistics.median(job / min(halves) for *halves, job in rates)
    of_decoding, of_job = (statistics.median(column) for column in zip(*cores, strict=True))
    return EmbedRow(len(table), decoding, computing, together, ratio, statistics.median(shares), of_decoding, of_job)


def bench_memory(
    videos: Sequence[str], *, count: int = 10_000, model: str = "r3d_tiny", workers: int = 1
) -> list[float]:
    """Measure the memory of this process while it embeds many videos.

    Args:
        videos: files and folders, which are embedded again and again.
        count: how many videos.
        model: backbone.
        workers: decoding processes.

    Returns:
        Resident memory after each tenth, MiB.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [os.path.abspath(os.fsdecode(name)) for name in find_inputs(videos).table["file"].to_pylist()]
    held: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "list.parquet"
        rows = {"id": [f"{i:08d}" for i in range(count)], "path": [files[i % len(files)] for i in range(count)]}
        pq.write_table(pa.table(rows), listed)
        config = EmbedConfig(
            NetworkConfig(model=model),
            windows=WindowConfig(window="uniform"),
            output=OutputConfig(shard_size=max(1, count // 40)),
            job=JobConfig(device="cpu", workers=workers, batch_size=8),
        )
        job = Job.open(Path(folder) / "out", config, Processes())
        missing = job.prepare(find_inputs([listed]), silent)
        step = max(1, len(missing) // 10)
        done = 0
        for start in range(0, len(missing), step):
            done += job.run(missing[start : start + step], silent)[0]
            held.append(resident_mebibytes())
    assert done == count
    return held


def as_text(row: EmbedRow) -> str:
    """The rates as a table.

    Args:
        row: from ``bench_embed``.
    """
    cells = [
        ["", "videos / s", f"median of the rounds, {row.videos} videos each"],
        ["decoding alone", f"{row.decoding:.2f}", f"{row.decoding_cores:.2f} cores busy"],
        ["network alone", f"{row.network:.2f}", ""],
        ["embed", f"{row.job:.2f}", f"{row.job_cores:.2f} cores busy, of {usable_cores()}"],
        ["to the slower one", f"{row.ratio:.2f}x", ""],
        ["by CPU time", f"{row.cpu_ratio:.2f}x", "network alone to the main process of embed"],
    ]
    return to_text(cells, align="<><", rule=False)
