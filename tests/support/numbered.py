"""Numbers for networks that are the same everywhere: made of names alone, by a generator that NumPy has frozen."""

from collections.abc import Mapping, Sequence
from zlib import crc32

import numpy as np
import torch
from torch import Tensor


def numbers_of(name: str, shape: Sequence[int]) -> Tensor:
    """Standard normal numbers in float64, which depend on the name and the shape alone."""
    drawn = np.random.RandomState(crc32(name.encode())).standard_normal(tuple(shape))
    return torch.from_numpy(drawn)


def numbered(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """A checkpoint of these names and shapes: features keep their size in it, and no two of its numbers are alike."""
    state = {}
    for key, shape in shapes.items():
        drawn = numbers_of(key, shape)
        if len(shape) > 1:
            state[key] = drawn * (1.5 / drawn[0].numel()) ** 0.5
        elif key.endswith("running_var"):
            state[key] = 1 + 0.2 * drawn.abs()
        else:
            state[key] = 0.2 * drawn + (0.0 if key.endswith(("bias", "running_mean")) else 1.0)
    return state
