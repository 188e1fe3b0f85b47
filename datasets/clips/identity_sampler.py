"""P x K batches: P people, K tracklets of each, as batch-hard triplets need (Hermans et al. 2017, arXiv:1703.07737)."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class IdentitySampler(Sampler[tuple[int, int]]):
    """Training order for re-identification: yields ``(epoch, i)`` such that each run of P x K pairs is one batch.

    In an epoch every person comes once, with K tracklets: different cameras first (two walks past one camera are too
    easy a pair), then further ones, then the same ones again where there are fewer. Everything follows from ``(seed,
    epoch)``. With several processes each gets whole people, P / world of every batch; people left over for less than a
    batch are left out, other ones in each epoch.

    Args:
        labels: (N,) identity of each tracklet.
        cameras: (N,) camera of each tracklet.
        people: P, over all processes.
        tracklets: K.
        repeats: how many times every person comes in an epoch, each time with K freshly drawn tracklets.
        seed: of the order.
        rank: of this process.
        world: number of processes.

    Raises:
        ValueError: fewer than P people, P that ``world`` does not divide, or one person in a process's batch.
    """

    def __init__(
        self,
        labels: Sequence[int] | np.ndarray,
        cameras: Sequence[object] | np.ndarray,
        *,
        people: int,
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
        for name, value in (("people", people), ("tracklets", tracklets), ("repeats", repeats)):
            if value < 1:
                raise ValueError(f"{name} = {value}: expected a whole number of at least 1")
        if not 0 <= rank < world:
            raise ValueError(f"rank = {rank} of world = {world}: expected 0 <= rank < world")
        self.own = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        if len(self.own) < people:
            raise ValueError(
                f"people = {people}: there are only {len(self.own)} to train on; lower the number of people"
            )
        if people % world or (people // world < 2 and people > 1):
            raise ValueError(
                f"people = {people} over {world} processes: expected at least 2 whole people for each, "
                f"e.g. {max(2, people // world + bool(people % world)) * world}"
            )
        self.people, self.tracklets, self.repeats, self.seed = people, tracklets, repeats, seed
        self.rank, self.world = rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Samples for this process and epoch."""
        return self.repeats * (len(self.own) // self.people) * (self.people // self.world) * self.tracklets

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        share = self.people // self.world
        for _ in range(self.repeats):
            order = rng.permutation(len(self.own))
            for start in range(0, len(order) - self.people + 1, self.people):
                # Drawn for all processes, so that each one's generator stands at the same place.
                batch = [self._draw(self.own[person], rng) for person in order[start : start + self.people]]
                for drawn in batch[self.rank * share : (self.rank + 1) * share]:
                    yield from ((self.epoch, int(i)) for i in drawn)

    def _draw(self, own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """K of one person's tracklets."""
        own = rng.permutation(own)
        cameras = self.cameras[own]
        # The n-th tracklet of a camera comes after every camera's (n - 1)-th.
        turn = np.array([np.count_nonzero(cameras[:i] == camera) for i, camera in enumerate(cameras)])
        return np.resize(own[np.argsort(turn, kind="stable")], self.tracklets)
