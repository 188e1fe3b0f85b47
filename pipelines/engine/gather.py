"""Between processes: collecting rows, equal buffers. With one process all of it does nothing."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

Row = TypeVar("Row")


def gather_objects(fabric: Fabric, item: Any) -> list[Any]:
    """Collect an item of every process.

    Args:
        fabric: of this process.
        item: anything that pickles.

    Returns:
        The items in the order of ranks, on every process.
    """
    if fabric.world_size == 1:
        return [item]
    items: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(items, item)
    return items


def world_size() -> int:
    """Number of processes of this job."""
    is_distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if is_distributed else 1


def rows_of_all(own: Tensor) -> Tensor:
    """Collect the rows of all processes within a loss.

    Args:
        own: (N, ...) of this process, of one shape in all of them.

    Returns:
        (world x N, ...) in the order of ranks, on every process. Gradients go back to the own rows alone.
    """
    world = world_size()
    if world == 1:
        return own
    rows = [torch.empty_like(own) for _ in range(world)]
    torch.distributed.all_gather(rows, own.detach().contiguous())
    rows[torch.distributed.get_rank()] = own
    return torch.cat(rows)


def gather_rows(fabric: Fabric, rows: Iterable[tuple[int, Row]], length: int) -> list[Row]:
    """Collect the rows of all processes.

    Distributed evaluation must count every sample once: an index that is missing or came twice (padding) is an error
    here, not a small bias.

    Args:
        fabric: of this process.
        rows: this process's (index, row) pairs.
        length: of the list.

    Returns:
        The rows in the order of the index, 0 .. length - 1, on every process.

    Raises:
        RuntimeError: an index is missing or came twice.
    """
    pairs = [pair for share in gather_objects(fabric, list(rows)) for pair in share]
    found = sorted(index for index, _ in pairs)
    if found != list(range(length)):
        raise RuntimeError(
            f"Evaluation saw {len(found)} rows ({len(set(found))} distinct) of {length}: each must come exactly once."
        )
    by_index = dict(pairs)
    return [by_index[index] for index in range(length)]


def share_buffers(fabric: Fabric, model: nn.Module) -> None:
    """Copy rank 0's buffers (batch-norm statistics) to all ranks: then every process scores with the same model.

    Args:
        fabric: of this process.
        model: its buffers are overwritten.
    """
    if fabric.world_size > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, src=0)


def sum_over_processes(fabric: Fabric, values: Sequence[float]) -> list[float]:
    """Add numbers over processes, in float64.

    Args:
        fabric: of this process.
        values: as many in each process.

    Returns:
        The sums, element by element, on every process.
    """
    if fabric.world_size == 1:
        return list(values)
    return [sum(column) for column in zip(*gather_objects(fabric, list(values)), strict=True)]
