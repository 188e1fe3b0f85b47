"""Which device a network computes on."""

import torch


def select_device(name: str = "auto", *, precision: str = "fp32", local_rank: int | None = None) -> str:
    """The device to compute on.

    Args:
        name: ``cpu``, ``cuda`` or ``mps``; ``auto``: a GPU where there is one.
        precision: ``fp32``, ``bf16`` or ``fp16``, of which the CPU has no ``fp16``.
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
