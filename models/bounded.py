"""A model that somebody else describes is built in memory and time that the weights beside it explain."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.nn.modules import module as nn_module

from specvid.memory import taking_at_most
from specvid.models.weights.read import read_shapes

_TIMES = 6  # layers are built, then inflated, replaced or left out: what is registered on the way counts each time
_MORE_NUMBERS = 2**26  # a classifier of the library's own that is left out
_MORE_TENSORS = 10_000
_IN_PASSING = 2**31  # bytes of address space: the libraries that building imports, stacks of threads


@contextmanager
def bounded_by(weights: Path, described: str) -> Iterator[None]:
    """Within the block a model cannot become much larger than its weights: the first layer too many ends it.

    PyTorch registers a parameter before it is filled, and memory that is not filled costs nothing; what a network
    computes while it is built is held by a limit on the memory of the process (`taking_at_most`).

    Args:
        weights: A safetensors file, of which the header is read; where it is missing, only small models are built.
        described: What describes the model, for the message.

    Raises:
        ValueError: The model becomes larger; or the file is no safetensors file.
        MemoryError: So does what it computes. PyTorch says it by a RuntimeError.
    """
    shapes = read_shapes(weights) if weights.is_file() else {}
    own = sum(map(math.prod, shapes.values()))
    left = [_TIMES * own + _MORE_NUMBERS, _TIMES * len(shapes) + _MORE_TENSORS]

    def count(_: Any, name: str, tensor: Any) -> None:
        left[0] -= 0 if tensor is None else tensor.numel()
        left[1] -= 1
        if min(left) < 0:
            raise ValueError(
                f"{described} describes no model of specvid: it is larger than the {own:,} numbers in {len(shapes):,} "
                f"tensors that {weights.name} has"
            )

    hooks = [
        nn_module.register_module_parameter_registration_hook(count),
        nn_module.register_module_buffer_registration_hook(count),
    ]
    size = weights.stat().st_size if weights.is_file() else 0
    try:
        with taking_at_most(2 * _TIMES * size + _IN_PASSING):
            yield
    finally:
        for hook in hooks:
            hook.remove()
