"""Randomness: seeding every generator, and carrying their states across an interruption."""

import random
from typing import Any, cast

import numpy as np
import torch


def seed_all(seed: int, rank: int = 0) -> None:
    """Seed Python, NumPy and torch (all devices).

    Args:
        seed: of the training.
        rank: of this process. Ranks differ, so that dropout does too; weights are made equal by DDP.
    """
    seed = (seed + 1_000_003 * rank) % 2**32
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def rng_state() -> dict[str, Any]:
    """The states of all generators of this process, in types that ``torch.load(weights_only=True)`` takes."""
    name, keys, position, has_gauss, gauss = cast(tuple[str, np.ndarray, int, int, float], np.random.get_state())
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Set the states of all generators of this process.

    Args:
        state: from `rng_state`.
    """
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    name, numpy_keys, *rest = state["numpy"]
    np.random.set_state((name, numpy_keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
