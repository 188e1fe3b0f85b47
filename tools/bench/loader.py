"""Clip loading against bare decord: the same files, the same frames, turn by turn in one run.

*Bare* opens the file with decord and decodes exactly the frames of the clip into an array, nothing else: no check, no
crop, no augmentation, no float. *Loader* is `TrainClips`: all of that, to a normalised float32 (3, T, h, w) tensor.

Without workers the clock counts the CPU time of the process, decord's threads included: that is the rate per core,
and other programs do not disturb it. With workers it is wall time, and both sides hand what they made to the main
process: bare decord its bytes at full size, the loader its floats.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from specvid.datasets.clips.sampling import dense_clip
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import train_transform
from specvid.datasets.clips.videos import TrainClips
from specvid.datasets.decode import forget_headers, open_video
from specvid.datasets.layouts.ucf101 import UCF101, VideoRecord

BARE = "bare decord, 1 thread"
THREADED = "bare decord, its default threads"
LOADER = "loader"
FIRST = "loader, file never seen"


@dataclass(frozen=True)
class LoaderRow:
    """``workers``: 0 = in the process itself; ``clips_per_second``: of CPU time without workers, of wall time with
    them;
    ``ratio``: to `BARE` with as many workers, the median over the rounds.
    """

    name: str
    workers: int
    clips_per_second: float
    ratio: float


def bench_loader(
    data: str | os.PathLike[str],
    *,
    frames: int = 16,
    stride: int = 2,
    size: int = 112,
    resize: tuple[int, int] = (128, 171),
    crop: str = "random",
    clips: int = 60,
    rounds: int = 5,
    workers: int = 2,
    progress: Callable[[str], None] | None = None,
) -> list[LoaderRow]:
    """Time the loading of training clips of the UCF-101 in ``data``.

    ``frames``, ``stride``, ``size``, ``resize``, ``crop``: of the clip, as in training; ``clips``: files per round,
    spread over the list; ``rounds``: how often, each with other frames (one more warms up); ``workers``: of the
    second half of the table; ``progress``: called with a line a round.
    """
    records = UCF101(data, split=1, train=True).records
    records = records[:: max(1, len(records) // clips)][:clips]
    spec = ClipSpec(frames, stride, size, resize, mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225))
    loader = TrainClips(records, spec, transform=train_transform(spec, crop=crop))
    bare, threaded = (_Bare(records, frames, stride, threads) for threads in (1, 0))
    say = progress or (lambda line: None)

    seconds: dict[str, list[float]] = {}
    for round_ in range(rounds + 1):
        times = _one_by_one({BARE: bare, THREADED: threaded, LOADER: loader, FIRST: loader}, len(records), round_)
        if round_:
            for name, value in times.items():
                seconds.setdefault(name, []).append(value)
            say(f"no workers, round {round_} of {rounds}: " + _shares(times))
    rows = _rows(seconds, len(records), workers=0)

    if workers:
        seconds = {BARE: [], LOADER: []}
        feeds = {BARE: _Feed(bare, workers), LOADER: _Feed(loader, workers)}
        for round_ in range(rounds + 1):
            times = {name: feed.run(len(records), round_) for name, feed in feeds.items()}
            if round_:
                for name, value in times.items():
                    seconds[name].append(value)
                say(f"{workers} workers, round {round_} of {rounds}: " + _shares(times))
        rows += _rows(seconds, len(records), workers=workers)
    return rows


def print_loader_table(rows: Sequence[LoaderRow]) -> None:
    """Print the rows of `bench_loader`: a ratio of 0.9 says that the loader delivers 0.9 clips where decord alone
    decodes one."""
    print(f"{'':34} {'workers':>7} {'clips / s':>10} {'ratio to bare':>14}")
    for row in rows:
        print(f"{row.name:34} {row.workers:7d} {row.clips_per_second:10.1f} {row.ratio:14.2f}")


class _Bare(Dataset[torch.Tensor]):
    """decord and nothing else, for the frames that `TrainClips` takes of sample (epoch, i)."""

    def __init__(self, records: Sequence[VideoRecord], frames: int, stride: int, threads: int) -> None:
        self.records, self.frames, self.stride, self.threads = records, frames, stride, threads
        self.lengths = [_length(record) for record in records]

    def __getitem__(self, key: tuple[int, int]) -> torch.Tensor:
        import decord

        epoch, index = key
        rng = np.random.default_rng([0, epoch, index])
        indices = np.unique(dense_clip(self.lengths[index], self.frames, self.stride, rng))
        reader = decord.VideoReader(str(self.records[index].path), num_threads=self.threads)
        return torch.from_numpy(reader.get_batch(indices).asnumpy())


class _Feed:
    """A data loader of one clip a time, with its workers kept between rounds."""

    def __init__(self, dataset: Dataset[Any], workers: int) -> None:
        self.keys: list[tuple[int, int]] = []
        self.loader = DataLoader(
            dataset, batch_size=None, sampler=self.keys, num_workers=workers, persistent_workers=True, prefetch_factor=4
        )

    def run(self, count: int, epoch: int) -> float:
        """Seconds for samples 0 to ``count`` - 1 of an epoch."""
        self.keys[:] = [(epoch, index) for index in range(count)]
        start = time.perf_counter()
        for _ in self.loader:
            pass
        return time.perf_counter() - start


def _one_by_one(datasets: dict[str, Any], count: int, epoch: int) -> dict[str, float]:
    """CPU seconds of each data set, file by file in turn; who begins changes from file to file."""
    seconds = dict.fromkeys(datasets, 0.0)
    names = list(datasets)
    for index in range(count):
        for name in names[index % len(names) :] + names[: index % len(names)]:
            if name == FIRST:
                forget_headers()
            start = time.process_time()
            datasets[name][epoch, index]
            seconds[name] += time.process_time() - start
            if name == FIRST:
                datasets[LOADER][epoch, index]  # the others are to find everything as it was
    return seconds


def _rows(seconds: dict[str, list[float]], clips: int, workers: int) -> list[LoaderRow]:
    return [
        LoaderRow(
            name,
            workers,
            clips * len(times) / sum(times),
            median(bare / own for bare, own in zip(seconds[BARE], times, strict=True)),
        )
        for name, times in seconds.items()
    ]


def _shares(times: dict[str, float]) -> str:
    return ", ".join(f"{name} {times[BARE] / value:.2f}" for name, value in times.items() if name != BARE)


def _length(record: VideoRecord) -> int:
    with open_video(record.path) as video:
        return len(video)
