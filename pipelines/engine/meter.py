"""What an epoch adds up to: mean loss and figures, unreadable clips and those with remarks; and its speed."""

import itertools
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from specvid.pipelines.engine.gather import gather_objects, sum_over_processes
from specvid.pipelines.engine.log import log

_NAMED = 10  # videos of each kind of remark that an epoch names in warnings; all are named in its line
REMARKS = {"repeated": "frames come more than once", "unusual": "read, though not as header or list announce"}
"""Remarks of an item about how its video was read: the key, and what it says."""

DIVERGED = "the training diverged"
"""What the error of a loss that is not finite says."""


class EpochMeter:
    """Sums over the batches of an epoch.

    Args:
        accumulate: batches in a step.
        warned: messages that were logged already, in any epoch; new ones are added.
        state: of a meter that was interrupted.
    """

    def __init__(
        self, *, accumulate: int = 1, warned: set[str] | None = None, state: dict[str, Any] | None = None
    ) -> None:
        self.sums: dict[str, float] = {}
        self.clips = 0
        self.seconds = 0.0
        self.waited = 0.0
        self.stood_in = 0  # clips that another one stands in for
        self.unreadable: list[str] = []  # messages, those of stand-ins that could not be read either among them
        self.remarks: dict[str, int] = {}  # of each kind that clips can have, how many have it
        self.remark_files: dict[str, list[str]] = {kind: [] for kind in REMARKS}
        self.__dict__.update(state or {})
        self._accumulate, self._warned = accumulate, set() if warned is None else warned
        self._since = time.perf_counter()
        self._pending: tuple[int, dict[str, Tensor]] | None = None
        self._batch_loss = math.nan

    @property
    def state(self) -> dict[str, Any]:
        """All sums, to go on with after an interruption between two steps."""
        self._add_pending()
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def fetch(self, batches: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], bool]]:
        """Fetch batches, with a clock that runs while the loader is waited for.

        Args:
            batches: of the epoch.

        Yields:
            Each batch, and whether it completes a step.
        """
        iterator = iter(batches)
        for count in itertools.count(1):
            since = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self.waited += time.perf_counter() - since
            yield batch, count % self._accumulate == 0

    def add(self, batch: dict[str, Any], loss: Tensor, figures: dict[str, Tensor]) -> None:
        """Add a batch. Numbers are read from the device one batch late, so that it is never idle nor far behind.

        Args:
            batch: as the feed gave it.
            loss: its mean loss, a scalar.
            figures: other means over it.

        Raises:
            ValueError: the loss of the batch before is not finite.
        """
        self._add_pending()
        clips = len(next(iter(batch.values())))
        self._pending = clips, {"loss": loss.detach(), **figures}
        self.stood_in += sum(map(bool, batch.get("error", ())))
        for message in "\n".join(batch.get("error", ())).split("\n"):
            if not message:
                continue
            self.unreadable.append(message)
            if message not in self._warned:
                self._warned.add(message)
                log.warning("unreadable, another training clip stands in for it: %s", message)
        for kind in REMARKS:
            if kind in batch:
                self._add_remarks(kind, [message for message in batch[kind] if message])

    def _add_remarks(self, kind: str, messages: list[str]) -> None:
        """Count clips of which something is to be said, and warn of each video once."""
        self.remarks[kind] = self.remarks.get(kind, 0) + len(messages)
        named = self.remark_files[kind]
        for message in messages:
            if message in self._warned:
                continue
            self._warned.add(message)
            named.append(message)
            if len(named) <= _NAMED:
                log.warning(f"{REMARKS[kind]}: %s", message)
            elif len(named) == _NAMED + 1:
                log.warning(f"more such videos are named in metrics.jsonl ({kind}_files)")

    def line(self, fabric: Fabric) -> tuple[dict[str, Any], dict[str, Any]]:
        """Add up over all processes.

        Args:
            fabric: of this process.

        Returns:
            The figures of the epoch, which are the same whenever it is trained; and its speed, which is not.
        """
        self._add_pending()
        names = sorted(self.sums)
        own = [self.clips, self.stood_in, self.waited, self.seconds, *(self.sums[name] for name in names)]
        clips, stood_in, waited, seconds, *sums = sum_over_processes(fabric, own)
        unreadable = [message for share in gather_objects(fabric, self.unreadable) for message in share]
        shares = gather_objects(fabric, (self.remarks, self.remark_files))
        figures: dict[str, Any] = {
            **{name: total / max(clips, 1) for name, total in zip(names, sums, strict=True)},
            "clips": int(clips),
            "unreadable": int(stood_in),
            "unreadable_files": sorted(set(unreadable)),
        }
        for kind in self.remarks:
            figures[kind] = sum(counts.get(kind, 0) for counts, _ in shares)
            figures[f"{kind}_files"] = sorted({message for _, files in shares for message in files[kind]})
        return figures, {
            "seconds": round(seconds / fabric.world_size, 3),
            "clips_per_s": round(fabric.world_size * clips / max(seconds, 1e-9), 3),
            "wait_share": round(waited / max(seconds, 1e-9), 4),
        }

    @property
    def batch_loss(self) -> float:
        """Loss of the last batch that was read from the device, which is one late; NaN before the first."""
        return self._batch_loss

    def now(self) -> dict[str, float]:
        """Loss, clips per second and share of the time spent waiting, of this process in the epoch so far."""
        return {
            "loss": self.sums.get("loss", math.nan) / max(self.clips, 1),
            "clips_per_s": self.clips / max(self.seconds, 1e-9),
            "wait_share": self.waited / max(self.seconds, 1e-9),
        }

    def _add_pending(self) -> None:
        """Add the numbers of the last batch, and the time since."""
        if self._pending is not None:
            clips, figures = self._pending
            self._pending = None
            values = torch.stack([value.float() for value in figures.values()]).tolist()
            self._batch_loss = values[0]
            for name, value in zip(figures, values, strict=True):
                self.sums[name] = self.sums.get(name, 0.0) + clips * value
            self.clips += clips
            if not math.isfinite(self.sums["loss"]):
                raise ValueError(
                    f"The loss became {values[0]} after {self.clips} clips of this epoch: {DIVERGED}. "
                    "Lower --lr, add --warmup or --clip-norm, or train in fp32."
                )
        now = time.perf_counter()
        self.seconds += now - self._since
        self._since = now


def merge_states(states: Sequence[dict[str, Any] | None], *, is_first: bool) -> dict[str, Any] | None:
    """The share of one process in what others counted, to go on with another number of processes.

    Args:
        states: of the meters of all of them, in the order of ranks; None each where no epoch was interrupted.
        is_first: this process takes the clips and sums of all; the others begin at none.

    Returns:
        The state to go on with. Times are means: each process spent them at the same time as the others.
    """
    given = [state for state in states if state is not None]
    if not given:
        return None
    times = {name: sum(state[name] for state in given) / len(given) for name in ("seconds", "waited")}
    kinds = list(given[0]["remarks"])
    if not is_first:
        return {"sums": dict.fromkeys(given[0]["sums"], 0.0), "remarks": dict.fromkeys(kinds, 0), **times}
    return {
        "sums": {name: sum(state["sums"][name] for state in given) for name in given[0]["sums"]},
        "clips": sum(state["clips"] for state in given),
        "stood_in": sum(state["stood_in"] for state in given),
        "unreadable": [message for state in given for message in state["unreadable"]],
        "remarks": {kind: sum(state["remarks"][kind] for state in given) for kind in kinds},
        "remark_files": {
            kind: sorted({message for state in given for message in state["remark_files"][kind]}) for kind in REMARKS
        },
        **times,
    }
