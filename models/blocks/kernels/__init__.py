"""What an SNL unit does between its matrix products, on CUDA, as Triton kernels: one pass over memory each.

Matrix products stay with cuBLAS, which multiplies in the precision that PyTorch's switches ask for. Every kernel takes
its tensors with their strides: samples as (C, N), channels first, or as (N, C), channels last.

The plain path beside them (``fused.py``, ``gated.py``, ``unit.py``) is the reference; it also serves CPUs, float64,
machines without Triton, ``torch.compile`` and ``torch.export``.
"""

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def kernels_run_on(*tensors: Tensor) -> bool:
    """Whether the kernels of this folder can compute with given tensors.

    Args:
        *tensors: what is read and written.

    Returns:
        True for float32 or half precision on the current CUDA device, where Triton is installed and the device is an
        Ampere or newer, outside of compilers.
    """
    return all(map(_fits, tensors)) and not torch.compiler.is_compiling()


def _fits(tensor: Tensor) -> bool:
    return (
        tensor.is_cuda
        and tensor.dtype in DTYPES
        and tensor.stride(0) < 2**31  # offsets within a sample are int32
        and tensor.device.index == torch.cuda.current_device()  # where Triton starts a kernel
        and _starts_on(tensor.device.index)
    )


@cache
def _starts_on(device: int) -> bool:
    """Whether Triton is there (PyTorch for CUDA on Linux brings it) and compiles bfloat16 for this GPU."""
    return (
        torch.version.hip is None
        and torch.cuda.get_device_capability(device) >= (8, 0)
        and find_spec("triton") is not None
    )
