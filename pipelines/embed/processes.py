"""Several processes on one embedding, as torchrun starts them. They agree once, at the start; after that none waits for
another, so uneven shares cannot time out.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Processes:
    """This process's ``rank`` of ``size``, and its number on this machine (``local``), which is that of its GPU."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @classmethod
    def here(cls) -> "Processes":
        """From torchrun's environment; a single process without."""
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        return cls(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))

    def agree(self, decide: Callable[[], Answer]) -> Answer:
        """What ``decide`` gives on rank 0, for all; its ValueError or OSError too: none waits for a stopped one."""
        if self.size == 1:
            return decide()
        import torch.distributed as dist

        outcome: Any = None
        # A list of millions takes long to read; gloo, because a GPU is of no use here.
        dist.init_process_group("gloo", timeout=timedelta(days=1))
        try:
            if self.rank == 0:
                try:
                    outcome = decide()
                except (ValueError, OSError) as error:
                    outcome = type(error)(str(error)) if isinstance(error, OSError) else ValueError(str(error))
            box = [outcome]
            dist.broadcast_object_list(box, src=0)
        finally:
            dist.destroy_process_group()
        if isinstance(box[0], Exception):
            raise box[0]
        return box[0]


def device_of(name: str, local: int) -> str:
    """The device called ``name``: ``auto`` is a GPU where there is one, process ``local`` of a machine its own."""
    import torch

    usable = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    device = next(kind for kind in usable if usable[kind]) if name == "auto" else name
    if not usable[device]:
        raise ValueError(f"device {device!r} is not usable here. Usable: {', '.join(k for k in usable if usable[k])}.")
    if device == "cuda":
        count = torch.cuda.device_count()
        if local >= count:
            raise ValueError(f"process {local} of this machine has no GPU: there are {count}. Start no more processes.")
        return f"cuda:{local}"
    return device
