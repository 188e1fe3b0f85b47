"""Which device a network computes on, and at which precision."""

import os
from dataclasses import replace
from typing import TypeVar

import torch
from torch import nn

from specvid.pipelines.engine.config import ComputeConfig

Config = TypeVar("Config", bound=ComputeConfig)

_WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
"""What the environment can hold oneDNN to that does not multiply bf16."""


def select_device(name: str = "auto", *, precision: str = "fp32", local_rank: int | None = None) -> str:
    """The device to compute on.

    Args:
        name: ``cpu``, ``cuda`` or ``mps``; ``auto``: a GPU where there is one.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``, of which the CPU has no ``fp16``.
        local_rank: number of this process on this machine, which is that of its GPU.

    Returns:
        ``cpu``, ``mps`` or ``cuda``; with ``local_rank``, ``cuda:LOCAL_RANK``.

    Raises:
        ValueError: the device is not usable here, has not the precision, or there are fewer GPUs than processes.
    """
    usable = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    device = next(kind for kind in usable if usable[kind]) if name == "auto" else name
    if not usable.get(device):
        there = ", ".join(kind for kind in usable if usable[kind])
        raise ValueError(f"device {device!r} is not usable here. Usable: {there}.")
    if precision == "fp16" and device == "cpu":
        raise ValueError("precision 'fp16' needs a GPU: on the CPU use --precision bf16 or fp32.")
    if device != "cuda" or local_rank is None:
        return device
    count = torch.cuda.device_count()
    if local_rank >= count:
        raise ValueError(
            f"process {local_rank} of this machine has no GPU: there are {count}. Start no more processes."
        )
    return f"cuda:{local_rank}"


def multiplies_bf16(device: str) -> bool:
    """Whether a device has instructions that multiply bf16; without them it is slower than fp32, on a CPU many times.

    Args:
        device: ``cpu``, ``mps`` or ``cuda``, with or without a number.

    Returns:
        True for GPUs of compute capability 8.0 (Ampere) or later, and for CPUs with AVX512-BF16 or AMX, which the
        environment does not forbid oneDNN.
    """
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    if limit.upper() in _WITHOUT_BF16:
        return False
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # not every PyTorch has both
    return device == "cpu" and any(getattr(torch.cpu, name, bool)() for name in names)


def learns_in_bf16() -> bool:
    """Whether this CPU computes the gradients of 3D convolutions in bf16, to the digits that bf16 has.

    With AVX512-BF16 and PyTorch 2.15 (oneDNN 3.13) it does not: where a 3 x 3 x 3 kernel lies over two frames, as in
    the last stages of most networks, what was in the memory before gets into the gradient of its weights. A convolution
    is tried; how many channels go wrong depends on the threads.

    Returns:
        False where it is wrong.
    """
    channels = min(256, 32 * torch.get_num_threads())
    positions, taps = channels * 2 * 4 * 4, channels * channels * 27
    values = torch.linspace(-3, 3, positions + taps).sin()  # without the random numbers of anybody
    x, weight = values[:positions].view(1, channels, 2, 4, 4), values[positions:].view(channels, channels, 3, 3, 3)
    gradients: list[torch.Tensor] = []
    for enabled in (False, True):
        own = weight.clone().requires_grad_()
        with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = nn.functional.conv3d(x, own, padding=1)
        for power in range(10, 23):  # the memory that is free now: not zeros, which would hide it
            torch.full((2**power,), float("nan"))
        gradients += torch.autograd.grad(y, own, y.detach())
    error = (gradients[1] - gradients[0]).norm() / gradients[0].norm()
    return bool(error < 0.05)  # bf16 has a precision of 0.004; nan is wrong


def require_right_gradients(model: nn.Module, config: ComputeConfig) -> None:
    """Refuse to train in a precision in which this machine computes wrong gradients.

    Args:
        model: what is trained.
        config: device and precision.

    Raises:
        ValueError: that is so.
    """
    if config.precision != "bf16" or select_device(config.device) != "cpu" or learns_in_bf16():
        return
    if any(isinstance(part, nn.Conv3d) and part.weight.requires_grad for part in model.modules()):
        raise ValueError(
            f"precision 'bf16': on this CPU PyTorch {torch.__version__} computes wrong gradients of 3D convolutions "
            "(one was tried). Use --precision fp32, or auto."
        )


def resolve_precision(config: Config) -> Config:
    """Replace the precision ``auto`` by the one that the device is fast in.

    Args:
        config: device and precision.

    Returns:
        The config with ``bf16`` or ``fp32`` for ``auto``, on a CPU always ``fp32`` (`learns_in_bf16` says why); any
        other precision stays.

    Raises:
        ValueError: the device is not usable here.
    """
    if config.precision != "auto":
        return config
    device = select_device(config.device)
    return replace(config, precision="bf16" if device != "cpu" and multiplies_bf16(device) else "fp32")


def slow_precision(precision: str, device: str) -> str:
    """What to tell somebody who asks for a precision that is slow here.

    Args:
        precision: ``fp32``, ``bf16`` or ``fp16``.
        device: ``cpu``, ``mps`` or ``cuda``.

    Returns:
        A sentence; empty where there is nothing to tell.
    """
    if precision != "bf16" or device != "cpu" or multiplies_bf16(device):
        return ""
    return (
        "precision bf16 on a CPU that is not known to multiply it (AVX512-BF16 or AMX) can take eight times as long as "
        "fp32: use --precision fp32, or auto."
    )
