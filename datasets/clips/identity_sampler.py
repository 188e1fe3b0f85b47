"""P x K batches: P identities, K tracklets of each, as batch-hard triplets need (Hermans et al., arXiv:1703.07737)."""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class IdentitySampler(Sampler[tuple[int, int]]):
    """Training order for re-identification: yields ``(epoch, i)`` such that each run of P x K pairs is one batch.

    In an epoch every person comes once, with K tracklets: different cameras first (two walks past one camera are too
    easy a pair), then further ones, then the same ones again where there are fewer. Everything follows from ``(seed,
    epoch)``. With several processes each gets whole identities, P / world of every batch; identities left over for less
    than a batch are left out, other ones in each epoch.

    Args:
        labels: (N,) identity of each tracklet.
        cameras: (N,) camera of each tracklet.
        identities: P, over all processes.
        tracklets: K.
        repeats: how many times every person comes in an epoch, each time with K freshly synthetic tracklets.
        seed: of the order.
        rank: of this process.
        world: number of processes.

    Raises:
        ValueError: fewer than P identities, P that ``world`` does not divide, or one person in a process's batch.
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
        if not 0 <= rank < world:
            raise ValueError(f"rank = {rank} of world = {world}: expected 0 <= rank < world")
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
        """Choose the epoch that the next iteration yields."""
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
                batch = [self._draw(self.own[person], rng) for person in order[start : start + self.identities]]
                for drawn in batch[self.rank * share : (self.rank + 1) * share]:
                    yield from ((self.epoch, int(i)) for i in drawn)

    def _draw(self, own: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """K of one person's tracklets."""
        own = rng.permutation(own)
        cameras = self.cameras[own]
        # The n-th tracklet of a camera comes after every camera's (n - 1)-th.
        turn = np.array([np.count_nonzero(cameras[:i] == camera) for i, camera in enumerate(cameras)])
        return np.resize(own[np.argsort(turn, kind="stable")], self.tracklets)
