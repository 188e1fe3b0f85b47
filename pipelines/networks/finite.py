"""Outputs that are no numbers: never shown, scored or saved, and explained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def why_not_finite(outputs: np.ndarray | Tensor, model: nn.Module) -> str:
    """Why outputs of a network are not finite. Costs a look at them; the weights are looked through only then.

    Args:
        outputs: of any shape.
        model: the network that they are of.

    Returns:
        The cause, to continue a sentence; "" where all are finite.

    Raises:
        ValueError: the cause is the weights, so that no other input has other outputs.
    """
    values: Any = torch.as_tensor(outputs)
    if bool(torch.isfinite(values).all()):
        return ""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(
                f"the network's weights are not finite, e.g. {name}: the training diverged, or the file was altered. "
                "Use other weights."
            )
    return "the network's outputs are not finite: it overflows. Use --precision fp32, or other weights"


def require_finite(outputs: np.ndarray | Tensor, model: nn.Module, what: str) -> None:
    """Refuse outputs that are not finite.

    Args:
        outputs: of any shape.
        model: the network that they are of.
        what: they are of, to begin the message with.

    Raises:
        ValueError: they are not finite; the cause is named.
    """
    why = why_not_finite(outputs, model)
    if why:
        raise ValueError(f"{what}: {why}.")
