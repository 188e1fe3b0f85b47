"""Where half precision will not do: sums over all N positions of a clip. And the switch for TF32."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Switch autocast off where it is on: sums over all N positions overflow in half precision.

    Args:
        x: a tensor on the device in question.

    Returns:
        A context manager of torch's own, because torch.compile of 2.6 follows only those.
    """
    if not x.is_meta and torch.is_autocast_enabled(x.device.type):
        return torch.autocast(x.device.type, enabled=False)
    return nullcontext()


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision as float32, anything wider as it is.

    Args:
        x: any shape.

    Returns:
        The same shape.
    """
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def allow_tf32(allowed: bool) -> None:
    """Let a GPU multiply float32 in TF32 (10 bits of mantissa), in convolutions and in the products of blocks alike.

    PyTorch's own default is TF32 for convolutions and float32 for matrix products, so that a network's blocks, which
    are matrix products, run several times slower than its convolutions of the same size.

    Args:
        allowed: TF32 for both, or float32 for both.
    """
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed
