"""Which samples a process sees, and in which order: a function of (seed, epoch, rank, world), of nothing else."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class EpochSampler(Sampler[tuple[int, int]]):
    """Training order: yields ``(epoch, i)``, so that a sample's randomness can depend on both.

    Shuffled by ``default_rng([seed, epoch])``, dealt to ``world`` processes in turn. All processes get equally many,
    or collective operations would wait for ever: ``drop_last`` leaves the rest out (another one each epoch),
    otherwise the first ones come twice.
    """

    def __init__(
        self,
        length: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
    ) -> None:
        _check(length, rank, world)
        if drop_last and length < world:
            raise ValueError(
                f"length = {length}, world = {world}: drop_last leaves nothing; use drop_last=False or fewer processes."
            )
        self.length, self.shuffle, self.seed, self.rank, self.world, self.drop_last = (
            length,
            shuffle,
            seed,
            rank,
            world,
            drop_last,
        )
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Samples for this process and epoch."""
        return self.length // self.world if self.drop_last else -(-self.length // self.world)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.length)
        if self.shuffle:
            np.random.default_rng([self.seed, self.epoch]).shuffle(order)
        order = np.resize(order, len(self) * self.world)  # cuts the rest off, or starts again from the front
        return ((self.epoch, int(i)) for i in order[self.rank :: self.world])


class ShardSampler(Sampler[int]):
    """Test order: each index exactly once over all processes, none added to even them out (shards differ by at most
    one sample)."""

    def __init__(self, length: int, *, rank: int = 0, world: int = 1) -> None:
        _check(length, rank, world)
        self.length, self.rank, self.world = length, rank, world

    def __len__(self) -> int:
        return len(range(self.rank, self.length, self.world))

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, self.length, self.world))


def _check(length: int, rank: int, world: int) -> None:
    if length < 1:
        raise ValueError(f"length = {length}: a sampler needs at least one sample.")
    if not 0 <= rank < world:
        raise ValueError(f"rank = {rank} of world = {world}: expected 0 <= rank < world.")
