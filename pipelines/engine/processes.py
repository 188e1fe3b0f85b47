"""The processes of one job, as torchrun starts them, and what they agree on."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Failed:
    """An error of rank 0, as it travels to the others: any of its kinds pickles this way."""

    by_system: bool
    message: str


def from_rank_zero(decide: Callable[[], Answer], *, rank: int, broadcast: Callable[[Any], Any]) -> Answer:
    """Let rank 0 decide for all processes: none of them waits for one that has stopped.

    Args:
        decide: called on rank 0 only.
        rank: of this process.
        broadcast: gives every process the argument of rank 0.

    Returns:
        What ``decide`` returned on rank 0.

    Raises:
        ValueError, OSError: ``decide`` raised it; every process raises it.
    """
    outcome: Any = None
    if rank == 0:
        try:
            outcome = decide()
        except (ValueError, OSError) as error:
            broadcast(_Failed(isinstance(error, OSError), str(error)))
            raise
    outcome = broadcast(outcome)
    if isinstance(outcome, _Failed):
        raise (OSError if outcome.by_system else ValueError)(outcome.message)
    return outcome


_NUMBERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
_OF_TORCHRUN = _NUMBERS[:4]


def check_environment(environment: Mapping[str, str]) -> None:
    """Check what launchers say of the processes of a job, before a library reads it.

    Args:
        environment: of this process.

    Raises:
        ValueError: a variable is missing, no number, or larger than it can be.
    """
    launched = "TORCHELASTIC_RUN_ID" in environment
    fix = "Start by torchrun, which sets it" if launched else "Unset it"
    numbers = {}
    for name in _NUMBERS:
        value = environment.get(name)
        if value is None and not (launched and name in _OF_TORCHRUN):
            continue
        if value is None or not (value.isascii() and value.isdecimal()):
            given = "is not set" if value is None else f"is {value[:40]!r}"
            raise ValueError(f"{name} {given} in the environment, and must be a whole number. {fix}.")
        numbers[name] = int(value)
    if launched:
        for rank, size in (("RANK", "WORLD_SIZE"), ("LOCAL_RANK", "LOCAL_WORLD_SIZE")):
            if numbers[rank] >= numbers[size]:
                raise ValueError(f"{rank} {numbers[rank]} must be less than {size} {numbers[size]}. {fix}.")
        if numbers["WORLD_SIZE"] % numbers["LOCAL_WORLD_SIZE"]:
            sizes = f"WORLD_SIZE {numbers['WORLD_SIZE']}, LOCAL_WORLD_SIZE {numbers['LOCAL_WORLD_SIZE']}"
            raise ValueError(f"{sizes}: every machine must have as many processes. {fix}.")


@dataclass(frozen=True)
class Processes:
    """This process among those that torchrun started; they need no process group and never wait for each other.

    Args:
        rank: of this process.
        size: how many processes there are.
        local: number of this process on its machine, which is that of its GPU.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @classmethod
    def here(cls) -> "Processes":
        """From torchrun's environment; a single process without it."""
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            return cls()
        return cls(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))

    def agree(self, decide: Callable[[], Answer]) -> Answer:
        """What ``decide`` returns on rank 0, for all processes; errors likewise (`from_rank_zero`).

        Args:
            decide: called on rank 0 only; it may take hours.

        Returns:
            The same on every process.
        """
        if self.size == 1:
            return decide()
        import torch.distributed as dist

        def broadcast(item: Any) -> Any:
            box = [item]
            dist.broadcast_object_list(box, src=0)
            return box[0]

        # A list of millions takes long to read; gloo, because a GPU is of no use here.
        dist.init_process_group("gloo", timeout=timedelta(days=1))
        try:
            return from_rank_zero(decide, rank=self.rank, broadcast=broadcast)
        finally:
            dist.destroy_process_group()
