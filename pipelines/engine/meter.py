"""What an epoch adds up to: mean loss and figures, clips per second, share of time spent waiting, unreadable clips and
those that are too short."""

import itertools
import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from specvid.pipelines.engine.gather import gather_objects, sum_over_processes
from specvid.pipelines.engine.log import log

_NAMED = 10  # short clips that an epoch names in warnings; all are named in its line


class EpochMeter:
    """Sums over the batches of an epoch. Its ``state`` can be saved in the middle of one.

    ``accumulate``: batches in a step; ``warned``: clips that have been warned of, kept from epoch to epoch.
    """

    def __init__(
        self, *, accumulate: int = 1, warned: set[str] | None = None, state: dict[str, Any] | None = None
    ) -> None:
        self.sums: dict[str, float] = {}
        self.clips = 0
        self.seconds = 0.0
        self.waited = 0.0
        self.unreadable: list[str] = []
        self.short: int | None = None  # where clips can be
        self.short_files: list[str] = []
        self.__dict__.update(state or {})
        self._accumulate, self._warned = accumulate, set() if warned is None else warned
        self._since = time.perf_counter()
        self._pending: tuple[int, dict[str, Tensor]] | None = None

    @property
    def state(self) -> dict[str, Any]:
        self._settle()
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def fetch(self, batches: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], bool]]:
        """Each batch, and whether it completes a step; the clock of waiting runs only while the loader is asked."""
        iterator = iter(batches)
        for count in itertools.count(1):
            asked = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self.waited += time.perf_counter() - asked
            yield batch, count % self._accumulate == 0

    def add(self, batch: dict[str, Any], loss: Tensor, figures: dict[str, Tensor]) -> None:
        """Takes in a batch.

        Numbers are read from the device one batch late, so that it is never idle nor far behind.
        """
        self._settle()
        clips = len(next(iter(batch.values())))
        self._pending = clips, {"loss": loss.detach(), **figures}
        for message in "\n".join(batch.get("error", ())).split("\n"):
            if not message:
                continue
            self.unreadable.append(message)
            if message not in self._warned:
                self._warned.add(message)
                log.warning("unreadable, another training clip stands in for it: %s", message)
        if "short" in batch:
            self._add_short([message for message in batch["short"] if message])

    def _add_short(self, messages: list[str]) -> None:
        self.short = (self.short or 0) + len(messages)
        for message in messages:
            if message in self._warned:
                continue
            self._warned.add(message)
            self.short_files.append(message)
            if len(self.short_files) <= _NAMED:
                log.warning("short video: %s", message)
            elif len(self.short_files) == _NAMED + 1:
                log.warning("more short videos are named in metrics.jsonl (short_files)")

    def line(self, fabric: Fabric) -> dict[str, Any]:
        """The epoch's figures over all processes."""
        self._settle()
        names = sorted(self.sums)
        own = [self.clips, self.waited, self.seconds, *(self.sums[name] for name in names)]
        clips, waited, seconds, *sums = sum_over_processes(fabric, own)
        unreadable = [message for share in gather_objects(fabric, self.unreadable) for message in share]
        shorts = gather_objects(fabric, (self.short, self.short_files))
        line: dict[str, Any] = {
            **{name: total / max(clips, 1) for name, total in zip(names, sums, strict=True)},
            "clips": int(clips),
            "seconds": round(seconds / fabric.world_size, 3),
            "clips_per_s": round(fabric.world_size * clips / max(seconds, 1e-9), 3),
            "wait_share": round(waited / max(seconds, 1e-9), 4),
            "unreadable": len(unreadable),
            "unreadable_files": sorted(set(unreadable)),
        }
        if self.short is not None:
            line["short"] = sum(count or 0 for count, _ in shorts)
            line["short_files"] = sorted({message for _, messages in shorts for message in messages})
        return line

    def now(self) -> dict[str, float]:
        """This process's figures so far, for the progress bar."""
        return {
            "loss": self.sums.get("loss", math.nan) / max(self.clips, 1),
            "clips_per_s": self.clips / max(self.seconds, 1e-9),
            "wait_share": self.waited / max(self.seconds, 1e-9),
        }

    def _settle(self) -> None:
        if self._pending is not None:
            clips, figures = self._pending
            self._pending = None
            values = torch.stack([value.float() for value in figures.values()]).tolist()
            for name, value in zip(figures, values, strict=True):
                self.sums[name] = self.sums.get(name, 0.0) + clips * value
            self.clips += clips
            if not math.isfinite(self.sums["loss"]):
                raise ValueError(
                    f"The loss became {values[0]} after {self.clips} clips of this epoch: the training diverged. "
                    "Lower --lr, add --warmup or --clip-norm, or train in fp32."
                )
        now = time.perf_counter()
        self.seconds += now - self._since
        self._since = now
