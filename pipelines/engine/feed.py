"""The stream of training batches: a sampler's (epoch, index) pairs, cut into whole steps, resumable at any step."""

from collections.abc import Iterator, Sized
from itertools import islice
from typing import Any, Protocol

import numpy as np
from torch.utils.data import DataLoader, Dataset

from specvid.datasets.clips.guard import ReadingGuard
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.loading import load, loader_options


class EpochIndices(Sized, Protocol):
    """A sampler: this process's share of an epoch as (epoch, index) pairs, the same ones at each iteration."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch.

        Args:
            epoch: its number.
        """

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The pairs of the epoch."""
        ...


class _Batches:
    """A batch sampler that yields ``count`` batches of ``size`` pairs, without the first ``skip`` ones."""

    def __init__(self, sampler: EpochIndices, *, size: int, count: int) -> None:
        self.sampler, self.size, self.count, self.skip = sampler, size, count, 0

    def __len__(self) -> int:
        return self.count - self.skip

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        pairs = islice(self.sampler, self.skip * self.size, None)
        for _ in range(len(self)):
            yield list(islice(pairs, self.size))


class TrainFeed:
    """Batches of a training set.

    A step takes ``config.batch_size`` clips over all processes and accumulated parts, so that neither changes what is
    optimised. Clips at the end of an epoch that do not fill a step are left out; the order differs in each epoch, so
    they are never the same. Nothing is random here: order and augmentation follow from (seed, epoch, index), whatever
    the number of workers.

    Args:
        dataset: indexed by (epoch, index).
        sampler: of this process.
        config: batch size, accumulated parts and workers.
        world: number of processes.
        pin_memory: for a GPU.

    Attributes:
        batch_size: clips of a step.
        steps: optimiser steps of an epoch.

    Raises:
        ValueError: the batch cannot be divided among processes and parts, or is larger than the training set.
    """

    def __init__(
        self, dataset: Dataset, sampler: EpochIndices, *, config: EngineConfig, world: int = 1, pin_memory: bool = False
    ) -> None:
        parts = world * config.accumulate
        if config.batch_size % parts:
            raise ValueError(
                f"batch_size {config.batch_size} must be a multiple of processes x accumulate = "
                f"{world} x {config.accumulate}. Use --batch-size {-(-config.batch_size // parts) * parts}."
            )
        size = config.batch_size // parts
        self.batch_size = config.batch_size
        self.accumulate = config.accumulate
        self.steps = len(sampler) // (size * self.accumulate)
        if not self.steps:
            clips = len(sampler) * world
            raise ValueError(
                f"batch_size {config.batch_size} is more than the {clips} training clips. Lower --batch-size."
            )
        self._sampler = sampler
        self._batches = _Batches(sampler, size=size, count=self.steps * self.accumulate)
        self._dataset, self._workers, self._pin_memory = dataset, config.workers, pin_memory
        self._guard: ReadingGuard = getattr(dataset, "guard", None) or ReadingGuard()
        self._loader: DataLoader[Any] | None = None

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[dict[str, Any]]:
        """The batches of an epoch; ``accumulate`` of them make a step.

        Args:
            epoch: its number.
            first_step: step to begin with.

        Yields:
            Batches.
        """
        self._sampler.set_epoch(epoch)
        yield from load(lambda done, anew: self._load_behind(first_step * self.accumulate + done, anew), self._guard)

    def _load_behind(self, skip: int, anew: bool) -> DataLoader[Any]:
        """A loader without the first ``skip`` batches; its processes stay from epoch to epoch."""
        self._batches.skip = skip
        if self._loader is None or anew:
            self._loader = DataLoader(
                self._dataset,
                batch_sampler=self._batches,
                persistent_workers=self._workers > 0,
                pin_memory=self._pin_memory,
                **loader_options(self._workers),
            )
        return self._loader


def choose(count: int, limit: int) -> list[int]:
    """Choose items of a list at random, the same ones each time.

    Args:
        count: how many there are.
        limit: how many to choose; all where there are no more.

    Returns:
        Their numbers, rising.
    """
    return sorted(np.random.default_rng(0).permutation(count)[:limit].tolist())
