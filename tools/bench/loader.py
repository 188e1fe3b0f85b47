"""Clip loading against bare decord: the same files, the same frames, turn by turn in one run.

*Bare* opens the file with decord and decodes exactly the frames of the clip into an array, nothing else: no check, no
crop, no augmentation, no float. *Loader* is `TrainClips` as trainings read it: all of that, to the bytes (T, h, w, 3)
that the device normalises. *Floats* is the same to a normalised float32 (3, T, h, w) tensor, made where the clip is
decoded; *normalised by the main process*, which there is with workers alone, makes it of the bytes that they handed
over, as a training on a CPU does. *File never seen* is *loader* where nothing is remembered of the file, as in a first
epoch. *Resized while converted* is *loader* with ``--interpolation area``: the decoder gives frames of the size that
the crop is cut from. *mmaction2* is that library's own pipeline, where it is installed (1.1.0): DecordInit,
SampleFrames, DecordDecode, Resize, RandomCrop, Flip, FormatShape; it leaves normalising to the device, too. *Shrunk* is
*loader* on the same clips as ``specvid data shrink`` made them, where such a set is given. Without decord there are
neither *bare* nor *mmaction2*, which decodes with it.

Without workers the clock counts the CPU time of the process, decord's threads included: that is the rate per core,
and other programs do not disturb it. With workers it is wall time, and all hand what they made to the main
process; beside it stands the CPU time of all processes together, which is what counts on a machine that others use.
"""

import contextlib
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from specvid.datasets.clips.sampling import dense_clip
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import normalise_clips, train_transform
from specvid.datasets.clips.videos import TrainClips
from specvid.datasets.decode import forget_headers, open_video
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.datasets.layouts.ucf101 import read_ucf101
from specvid.modality import Interpolation
from specvid.pipelines.engine.log import silent
from specvid.text import to_text
from specvid.tools.bench.process_memory import cpu_seconds
from specvid.tools.timing import Seconds, Stopwatch, interleaved, ratio

BARE = "bare decord, 1 thread"
THREADED = "bare decord, its default threads"
LOADER = "loader"
FLOATS = "loader, floats"
NORMALISED = "loader, normalised by the main process"
FIRST = "loader, file never seen"
MMACTION = "mmaction2"
SHRUNK = "loader, shrunk set"
CONVERTED = "loader, resized while converted"


@dataclass(frozen=True)
class LoaderRow:
    """Rate of one way to load clips.

    Attributes:
        name: ``BARE``, ``THREADED``, ``LOADER``, ``FLOATS``, ``NORMALISED``, ``FIRST``, ``CONVERTED``, ``MMACTION`` or
            ``SHRUNK``.
        workers: decoding processes; 0 = in the process itself.
        clips_per_second: of CPU time without workers, of wall time with them.
        to_decord: ratio to ``BARE`` with as many workers, the median over the rounds; None where it is not installed.
        to_mmaction: likewise to ``MMACTION``; None where that is not installed, or has no such crop.
        cpu_to_mmaction: with workers, by the CPU time of all processes.
    """

    name: str
    workers: int
    clips_per_second: float
    to_decord: float | None = None
    to_mmaction: float | None = None
    cpu_to_mmaction: float | None = None


def bench_loader(
    data: str | os.PathLike[str],
    *,
    shrunk: str | os.PathLike[str] = "",
    frames: int = 16,
    stride: int = 2,
    size: int = 112,
    resize: tuple[int, int] = (128, 171),
    crop: str = "random",
    clips: int = 60,
    rounds: int = 5,
    workers: int = 2,
    status: Callable[[str], None] = silent,
) -> list[LoaderRow]:
    """Time the loading of training clips.

    Args:
        data: folder of a data set in UCF-101's layout.
        shrunk: folder of the same set as ``specvid data shrink`` made it; its rate is a row, too.
        frames: of a clip.
        stride: every how many-th frame of the file.
        size: height and width of the crop, px.
        resize: height and width before the crop, px.
        crop: ``random``, ``resized`` or ``multiscale``.
        clips: files per round, spread over the list.
        rounds: how often, each with other frames; one more round warms up.
        workers: decoding processes of the second half of the table; 0 leaves it out.
        status: called with a line for each round.

    Returns:
        Rows without workers, then rows with them.

    Raises:
        ValueError: no such data set, sizes that do not fit, or a shrunk set that lacks a clip.
    """
    records = read_ucf101(data).train
    records = records[:: max(1, len(records) // clips)][:clips]
    status(f"{len(records)} clips a round")
    spec = ClipSpec(frames, stride, size, resize, mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225))

    def clips_of(
        records: Sequence[VideoRecord], *, normalised: bool = False, interpolation: Interpolation = "bilinear"
    ) -> TrainClips:
        own = replace(spec, interpolation=interpolation)
        return TrainClips(records, own, transform=train_transform(own, crop=crop, normalised=normalised))

    def normalise(sample: dict[str, Any]) -> torch.Tensor:
        return normalise_clips(sample["video"][None], spec.mean, spec.std)

    loader, floats = clips_of(records), clips_of(records, normalised=True)
    converted = clips_of(records, interpolation="area")
    small = {SHRUNK: clips_of(_same_clips(records, shrunk))} if shrunk else {}
    bare: dict[str, Dataset[Any]] = {}
    threaded, theirs = bare, bare
    if find_spec("decord"):
        one_thread, many = (_Bare(records, frames, stride, threads) for threads in (1, 0))
        bare, threaded = {BARE: one_thread}, {THREADED: many}
        if find_spec("mmaction") and crop == "random":
            theirs = {MMACTION: _Mmaction(one_thread, size=size, resize=resize)}

    alone = {**bare, **threaded, LOADER: loader, CONVERTED: converted, FLOATS: floats, **small, **theirs}
    seconds: dict[str, Seconds] = {name: {} for name in (*alone, FIRST)}
    for number in range(rounds + 1):
        forget_headers()
        times = _one_by_one({FIRST: loader}, len(records), number)
        _one_by_one(small, len(records), number)  # so that all others know their files
        times = _one_by_one(alone, len(records), number) | times
        if number:
            for name, value in times.items():
                seconds[name][number] = value
            status(f"no workers, round {number} of {rounds}: " + _shares(times))
    rows = _rows(seconds, len(records), workers=0)

    if workers:

        def progress(number: int, times: dict[str, float]) -> None:
            if number:
                status(f"{workers} workers, round {number} of {rounds}: " + _shares(times))

        together = {**bare, LOADER: loader, CONVERTED: converted, NORMALISED: loader, FLOATS: floats, **small, **theirs}
        then = {NORMALISED: normalise}
        feeds = {name: _Feed(dataset, len(records), workers, then.get(name)) for name, dataset in together.items()}
        runs = {name: feed.load_epoch for name, feed in feeds.items()}
        wall = interleaved(runs, rounds=rounds, on_round=progress)
        cpu = {name: {number: feed.cpu[number] for number in wall[name]} for name, feed in feeds.items()}
        rows += _rows(wall, len(records), workers=workers, cpu=cpu)
    return rows


def as_text(rows: Sequence[LoaderRow]) -> str:
    """What it was compared with, and a table: 0.9 means that the loader delivers 0.9 clips where decord decodes one.

    Args:
        rows: from ``bench_loader``.
    """
    cells = [["", "workers", "clips / s", "ratio to bare", "to mmaction2", "by CPU time"]]
    for row in rows:
        figures = (row.to_decord, row.to_mmaction, row.cpu_to_mmaction)
        ratios = ["-" if ratio is None else f"{ratio:.2f}" for ratio in figures]
        cells.append([row.name, f"{row.workers}", f"{row.clips_per_second:.1f}", *ratios])
    missing = "" if find_spec("decord") else "; no decord to compare with: `pip install decord2`"
    return f"{', '.join(versions())}{missing}\n\n{to_text(cells, align='<>', rule=False)}"


def versions() -> list[str]:
    """The libraries that decode, with their versions. (decord2 is a decord, and wins where both are installed.)"""
    found = []
    for name in ("av", "decord2", "decord", "mmaction2"):
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return found


class _Bare(Dataset[torch.Tensor]):
    """decord and nothing else, for the frames that `TrainClips` takes of sample (epoch, i)."""

    def __init__(self, records: Sequence[VideoRecord], frames: int, stride: int, threads: int) -> None:
        self.records, self.frames, self.stride, self.threads = records, frames, stride, threads
        self.lengths = [_length(record) for record in records]

    def __getitem__(self, key: tuple[int, int]) -> torch.Tensor:
        import decord

        reader = decord.VideoReader(str(self.records[key[1]].path), num_threads=self.threads)
        return torch.from_numpy(reader.get_batch(np.unique(self.wanted(key))).asnumpy())

    def wanted(self, key: tuple[int, int]) -> np.ndarray:
        """The frames of a sample."""
        epoch, index = key
        return dense_clip(self.lengths[index], self.frames, self.stride, np.random.default_rng([0, epoch, index]))


class _Mmaction(Dataset[torch.Tensor]):
    """mmaction2's pipeline, on the frames of `_Bare`."""

    def __init__(self, bare: _Bare, *, size: int, resize: tuple[int, int]) -> None:
        from mmaction.datasets import transforms

        self.bare = bare
        self.opening = [
            transforms.DecordInit(num_threads=1),
            transforms.SampleFrames(clip_len=bare.frames, frame_interval=bare.stride),
        ]
        self.making = [
            transforms.DecordDecode(),
            transforms.Resize(scale=(resize[1], resize[0]), keep_ratio=False),
            transforms.RandomCrop(size=size),
            transforms.Flip(flip_ratio=0.5),
            transforms.FormatShape(input_format="NCTHW"),
        ]

    def __getitem__(self, key: tuple[int, int]) -> torch.Tensor:
        found: dict[str, Any] = {"filename": str(self.bare.records[key[1]].path), "modality": "RGB", "start_index": 0}
        for step in self.opening:
            found = step(found)
        found["frame_inds"] = self.bare.wanted(key)
        for step in self.making:
            found = step(found)
        return torch.from_numpy(found["imgs"])


class _Feed:
    """A data loader of one clip at a time, with its workers alive between epochs; ``then`` is for the main process.

    Attributes:
        cpu: CPU seconds of each epoch after the first, by its number, of this process and the workers together.
    """

    def __init__(
        self, dataset: Dataset[Any], count: int, workers: int, then: Callable[[Any], object] | None = None
    ) -> None:
        self.count, self.epoch, self.then = count, 0, then
        self.cpu: dict[int, float] = {}
        self.keys: list[tuple[int, int]] = []
        self.loader = DataLoader(
            dataset, batch_size=None, sampler=self.keys, num_workers=workers, persistent_workers=True, prefetch_factor=4
        )

    def load_epoch(self) -> None:
        """Load all samples of the next epoch."""
        self.keys[:] = [(self.epoch, index) for index in range(self.count)]
        before = self._cpu_seconds()
        for sample in self.loader:
            if self.then is not None:
                self.then(sample)
        self.cpu[self.epoch] = self._cpu_seconds() - before
        self.epoch += 1

    def _cpu_seconds(self) -> float:
        """CPU time so far of this process and of the workers (Linux; elsewhere of this process alone)."""
        workers = getattr(self.loader._iterator, "_workers", ())
        return time.process_time() + sum(cpu_seconds(worker.pid) for worker in workers)


def _one_by_one(datasets: dict[str, Any], count: int, epoch: int) -> dict[str, float]:
    """CPU seconds of each data set, file by file; each file has its order, for decord's threads outlast its call."""
    seconds = dict.fromkeys(datasets, 0.0)
    order = random.Random(epoch)
    for index in range(count):
        for name in order.sample(list(datasets), len(datasets)):
            with Stopwatch() as watch:
                datasets[name][epoch, index]
            seconds[name] += watch.cpu
    return seconds


def _rows(
    seconds: dict[str, Seconds], clips: int, workers: int, cpu: dict[str, Seconds] | None = None
) -> list[LoaderRow]:
    return [
        LoaderRow(
            name,
            workers,
            clips * len(times) / sum(times.values()),
            ratio(seconds, BARE, name) if BARE in seconds else None,
            ratio(seconds, MMACTION, name) if MMACTION in seconds else None,
            ratio(cpu, MMACTION, name) if cpu and MMACTION in cpu else None,
        )
        for name, times in seconds.items()
    ]


def _same_clips(records: Sequence[VideoRecord], root: str | os.PathLike[str]) -> list[VideoRecord]:
    """The clips of another set with the same names."""
    there = {record.name: record for record in read_ucf101(root).train}
    missing = [record.name for record in records if record.name not in there]
    if missing:
        raise ValueError(
            f"shrunk {str(root)!r} has no training clip {missing[0]!r}: give what `specvid data shrink` made of it."
        )
    return [there[record.name] for record in records]


def _shares(times: dict[str, float]) -> str:
    base = BARE if BARE in times else LOADER
    return ", ".join(f"{name} {times[base] / value:.2f}" for name, value in times.items() if name != base)


def _length(record: VideoRecord) -> int:
    with open_video(record.path) as video:
        return len(video)
