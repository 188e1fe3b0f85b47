"""Which samples a process sees, and in which order: a function of (seed, epoch, rank, world), of nothing else."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class EpochSampler(Sampler[tuple[int, int]]):
    """Training order: yields ``(epoch, i)``, so that a sample's randomness can depend on both.

    Shuffled by ``default_rng([seed, epoch])``, dealt to the processes in turn. All processes get equally many, or
    collective operations would wait for ever.

    Args:
        length: number of samples.
        shuffle: another order in each epoch.
        seed: of the order.
        rank: of this process.
        world: number of processes.
        drop_last: leave out what cannot be dealt evenly, others in each epoch; otherwise the first samples come twice.
        weights: how often each sample is to come, on average, in proportion; then samples are drawn with replacement.

    Raises:
        ValueError: no samples, a rank outside of the world, nothing left, or weights that do not fit.
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
        weights: Sequence[float] | None = None,
    ) -> None:
        _check(length, rank, world)
        if weights is not None and (len(weights) != length or not shuffle):
            raise ValueError(
                f"{len(weights)} weights for {length} samples, shuffle = {shuffle}: give one each, and shuffle=True."
            )
        self.shares = None if weights is None else np.asarray(weights, dtype=np.float64) / sum(weights)
        if drop_last and length < world:
            raise ValueError(
                f"length = {length}, world = {world}: drop_last leaves nothing; use drop_last=False or fewer processes."
            )
        self.length, self.shuffle, self.seed, self.drop_last = length, shuffle, seed, drop_last
        self.rank, self.world = rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields.

        Args:
            epoch: Its number, from 0.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        """Samples for this process and epoch."""
        return self.length // self.world if self.drop_last else -(-self.length // self.world)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order, rng = np.arange(self.length), np.random.default_rng([self.seed, self.epoch])
        if self.shares is not None:
            order = rng.choice(self.length, size=self.length, p=self.shares)
        elif self.shuffle:
            rng.shuffle(order)
        order = np.resize(order, len(self) * self.world)  # cuts the rest off, or starts again from the front
        return ((self.epoch, int(i)) for i in order[self.rank :: self.world])


class ShardSampler(Sampler[int]):
    """Test order: each index exactly once over all processes, none added to even them out.

    Args:
        length: number of samples.
        rank: of this process.
        world: number of processes; their shares differ by at most one sample.

    Raises:
        ValueError: no samples, or a rank outside of the world.
    """

    def __init__(self, length: int, *, rank: int = 0, world: int = 1) -> None:
        _check(length, rank, world)
        self.length, self.rank, self.world = length, rank, world

    def __len__(self) -> int:
        return len(range(self.rank, self.length, self.world))

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.rank, self.length, self.world))


class IdentitySampler(Sampler[tuple[int, int]]):
    """Training order for re-identification: yields ``(epoch, i)`` such that each run of P x K pairs is one batch.

    P identities and K tracklets of each, as batch-hard triplets need (Hermans et al., arXiv:1703.07737). In an epoch
    every identity comes once, with K tracklets: different cameras first (two walks past one camera are too
    easy a pair), then further ones, then the same ones again where there are fewer. Everything follows from ``(seed,
    epoch)``. With several processes each gets whole identities, P / world of every batch; identities left over for less
    than a batch are left out, other ones in each epoch.

    Args:
        labels: (N,) identity of each tracklet.
        cameras: (N,) camera of each tracklet.
        identities: P, over all processes.
        tracklets: K.
        repeats: how many times every identity comes in an epoch, each time with K tracklets drawn anew.
        seed: of the order.
        rank: of this process.
        world: number of processes.

    Raises:
        ValueError: fewer than P identities, P that ``world`` does not divide, or one identity in a process's batch.
    """

    def __init__(
        self,
        labels: Sequence[int] | np.ndarray,
        cameras: Sequence[object] | np.ndarray,
        *,
        identities: int,
        tracklets: int,
        repeats: int = 1,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        labels = np.asarray(labels)
        self.cameras = np.unique([str(camera) for camera in cameras], return_inverse=True)[1].reshape(-1)
        if len(labels) != len(self.cameras):
            raise ValueError(f"{len(labels)} labels and {len(self.cameras)} cameras; each tracklet needs both")
        for name, value in (("identities", identities), ("tracklets", tracklets), ("repeats", repeats)):
            if value < 1:
                raise ValueError(f"{name} = {value}: expected a whole number of at least 1")
        _check(len(labels), rank, world)
        self.own = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        if len(self.own) < identities:
            raise ValueError(
                f"identities = {identities}: there are only {len(self.own)} to train on; lower the number of identities"
            )
        if identities % world or (identities // world < 2 and identities > 1):
            raise ValueError(
                f"identities = {identities} over {world} processes: expected at least 2 whole identities for each, "
                f"e.g. {max(2, identities // world + bool(identities % world)) * world}"
            )
        self.identities, self.tracklets, self.repeats, self.seed = identities, tracklets, repeats, seed
        self.rank, self.world = rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields.

        Args:
            epoch: Its number, from 0.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        """Samples for this process and epoch."""
        return self.repeats * (len(self.own) // self.identities) * (self.identities // self.world) * self.tracklets

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        share = self.identities // self.world
        for _ in range(self.repeats):
            order = rng.permutation(len(self.own))
            for start in range(0, len(order) - self.identities + 1, self.identities):
                # Drawn for all processes, so that each one's generator stands at the same place.
                batch = [self._draw(self.own[identity], rng) for identity in order[start : start + self.identities]]
                for indices in batch[self.rank * share : (self.rank + 1) * share]:
                    yield from ((self.epoch, int(i)) for i in indices)

    def _draw(self, own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """K of one identity's tracklets."""
        own = rng.permutation(own)
        cameras = self.cameras[own]
        # The n-th tracklet of a camera comes after every camera's (n - 1)-th.
        turn = np.array([np.count_nonzero(cameras[:i] == camera) for i, camera in enumerate(cameras)])
        return np.resize(own[np.argsort(turn, kind="stable")], self.tracklets)


def _check(length: int, rank: int, world: int) -> None:
    if length < 1:
        raise ValueError(f"length = {length}: a sampler needs at least one sample.")
    if not 0 <= rank < world:
        raise ValueError(f"rank = {rank} of world = {world}: expected 0 <= rank < world.")
