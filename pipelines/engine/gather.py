"""Between processes: collecting rows, equal buffers. With one process all of it does nothing."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import nn

Row = TypeVar("Row")


def gather_objects(fabric: Fabric, item: Any) -> list[Any]:
    """Every process's ``item`` (anything that pickles), in the order of ranks, on every process."""
    if fabric.world_size == 1:
        return [item]
    items: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(items, item)
    return items


def gather_rows(fabric: Fabric, rows: Iterable[tuple[int, Row]], length: int) -> list[Row]:
    """All processes' ``(index, row)`` pairs as one list in the order of the index, 0 .. length - 1.

    Distributed evaluation must count every sample once: an index that is missing or came twice (padding) is an error
    here, not a small bias.
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
    """Rank 0's buffers (batch-norm statistics) on all ranks: then every process scores with the same model."""
    if fabric.world_size > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, src=0)


def sum_over_processes(fabric: Fabric, values: Sequence[float]) -> list[float]:
    """Element by element, the sum over processes, in float64."""
    if fabric.world_size == 1:
        return list(values)
    return [sum(column) for column in zip(*gather_objects(fabric, list(values)), strict=True)]
