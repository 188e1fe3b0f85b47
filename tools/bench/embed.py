"""Embedding against the slower of its two halves, in one run: decoding alone, the network alone, and both with writing.

All three do the same clips of the same files, turn by turn, round by round; the ratio of a round is the rate of the
whole job over that of the slower half, and the median of the rounds is what counts. *Decoding alone* is the job's own
decoding processes, whose pieces nobody uses; *network alone* is the job's own batches, made before the clock starts.

Also here: memory over ten thousand videos.
"""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from specvid.pipelines.embed import EmbedConfig, NetChoice, OutputChoice, RunChoice, WindowChoice
from specvid.pipelines.embed.feed import read_ahead
from specvid.pipelines.embed.job import Job
from specvid.pipelines.embed.layout import Folder
from specvid.pipelines.embed.sources import Sources, find_inputs
from specvid.pipelines.embed.stream import reader_of
from specvid.pipelines.engine.processes import Processes


@dataclass(frozen=True)
class EmbedRow:
    """Videos per second, median over the rounds; ``ratio``: of the job to the slower of the two, median.

    ``cpu_ratio``: CPU time of the network alone over that of the job's main process, which runs the network, collects
    batches and writes: what the job adds to it, on a machine whose cores others use too.
    """

    videos: int
    decoding: float
    network: float
    job: float
    ratio: float
    cpu_ratio: float


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
    progress: Callable[[str], None] | None = None,
) -> EmbedRow:
    """Time the embedding of ``count`` of ``videos``, one clip each.

    ``workers``: decoding processes; ``threads``: of the network on the CPU. Workers and threads together should not be
    more than the cores, or the halves compete for them.
    """
    torch.set_num_threads(threads)
    say = progress or (lambda line: None)
    table = find_inputs(videos).table
    table = table.take(np.arange(min(count, len(table))))
    net = NetChoice(model=model, frames=frames, size=size)
    windows = WindowChoice(window="uniform")
    running = RunChoice(device=device, workers=workers, batch_size=batch_size)
    config = EmbedConfig(net, windows, OutputChoice(), running)
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "list.txt"
        listed.write_bytes(b"\0".join(os.path.abspath(name) for name in table["file"].to_pylist()) + b"\0")
        job = Job.open(folder, config, Processes())
        sources = Sources(table, range(len(table)))
        reader = reader_of(job.network, windows)

        def decode() -> list[torch.Tensor]:
            pieces = (piece for _, piece in read_ahead(sources, reader, workers=workers))
            return [clip for piece in pieces if piece.clips is not None for clip in piece.clips]

        clips = decode()
        batches = [torch.stack(clips[start : start + batch_size]) for start in range(0, len(clips), batch_size)]

        def compute() -> None:
            for batch in batches:
                job.network(batch).cpu()

        def whole() -> None:
            out = Path(folder) / "out"
            shutil.rmtree(out, ignore_errors=True)
            job.folder = Folder(out)
            job.prepare(find_inputs([str(listed)]), say)
            job.run(range(-(-len(table) // config.output.shard_size)), say)
            job.finish(0, 0, 1.0)

        whole()
        rates: list[tuple[float, float, float]] = []
        shares: list[float] = []
        for number in range(rounds):
            seconds, cpu = zip(*(_seconds(work) for work in (decode, compute, whole)), strict=True)
            shares.append(cpu[1] / cpu[2])
            rates.append((len(table) / seconds[0], len(table) / seconds[1], len(table) / seconds[2]))
            say(f"round {number + 1} of {rounds}: " + ", ".join(f"{rate:.1f}" for rate in rates[-1]) + " videos/s")
    decoding, computing, together = (statistics.median(rate[column] for rate in rates) for column in range(3))
    ratio = statistics.median(rate[2] / min(rate[0], rate[1]) for rate in rates)
    return EmbedRow(len(table), decoding, computing, together, ratio, statistics.median(shares))


def bench_memory(
    videos: Sequence[str], *, count: int = 10_000, model: str = "r3d_tiny", workers: int = 1
) -> list[float]:
    """Resident memory of this process, MiB, after each tenth of ``count`` videos: the given ones, again and again."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [os.path.abspath(os.fsdecode(name)) for name in find_inputs(videos).table["file"].to_pylist()]
    held: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "list.parquet"
        rows = {"id": [f"{i:08d}" for i in range(count)], "path": [files[i % len(files)] for i in range(count)]}
        pq.write_table(pa.table(rows), listed)
        running = RunChoice(device="cpu", workers=workers, batch_size=8)
        output = OutputChoice(shard_size=max(1, count // 40))
        config = EmbedConfig(NetChoice(model=model), WindowChoice(window="uniform"), output, running)
        job = Job.open(Path(folder) / "out", config, Processes())
        missing = job.prepare(find_inputs([listed]), lambda line: None)
        step = max(1, len(missing) // 10)
        done = 0
        for start in range(0, len(missing), step):
            done += job.run(missing[start : start + step], lambda line: None)[0]
            held.append(resident_mebibytes())
    assert done == count
    return held


def resident_mebibytes() -> float:
    """Resident memory of this process (Linux)."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def print_embed_row(row: EmbedRow) -> None:
    """Print what `bench_embed` measured."""
    print(f"{'':18} {'videos / s':>10}   median of the rounds, {row.videos} videos each")
    for name in ("decoding", "network", "job"):
        title = {"decoding": "decoding alone", "network": "network alone", "job": "embed"}[name]
        print(f"{title:18} {getattr(row, name):10.2f}")
    print(f"{'to the slower one':18} {row.ratio:9.2f}x")
    print(f"{'by CPU time':18} {row.cpu_ratio:9.2f}x   network alone to the main process of embed")


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """By the clock, and of CPU time of this process."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu
