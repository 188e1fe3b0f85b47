"""Times on a GPU: by its own clock, from an empty cache, with or without what it takes to start operations."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from specvid.models.blocks.precision import allow_tf32
from specvid.pipelines.engine.devices import multiplies_bf16
from specvid.text import counted

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
"""fp32 and tf32: of all products, those of convolutions and of blocks alike; the others by autocast."""

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def check_device(device: str, precision: str = "fp32", *, graphs: bool = False) -> None:
    """Check what a benchmark is asked for.

    Args:
        device: ``cpu`` or ``cuda``.
        precision: of ``PRECISIONS``.
        graphs: CUDA graphs.

    Raises:
        ValueError: this machine or device has it not.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda': PyTorch sees no GPU here; use --device cpu.")
    if device != "cuda" and (graphs or precision == "tf32"):
        raise ValueError(f"{'--graphs' if graphs else '--precision tf32'} is for GPUs: add --device cuda.")
    if device != "cuda" and precision == "fp16":
        raise ValueError("--precision fp16 is for GPUs: add --device cuda, or use bf16 or fp32.")


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Multiply float32 as a precision says; what autocast does is :func:`autocast`'s.

    Args:
        precision: of ``PRECISIONS``.
    """
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    allow_tf32(precision != "fp32")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def autocast(device: str, precision: str) -> torch.autocast:
    """Autocast to the half precisions, none for the others.

    Args:
        device: ``cpu`` or ``cuda``.
        precision: of ``PRECISIONS``.
    """
    half = HALF.get(precision)
    return torch.autocast(device, dtype=half, enabled=half is not None)


def gpu_seconds() -> Callable[[Callable[[], object]], float]:
    """A clock: a function that runs another one and returns its seconds by the events of the current GPU.

    What waits for the host counts; what the runs before left in the cache is pushed out.
    """
    cache = torch.empty(4 * _cache_bytes(), dtype=torch.int8, device="cuda")

    def seconds(run: Callable[[], object]) -> float:
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        cache.zero_()
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / 1e3

    return seconds


def _cache_bytes() -> int:
    return max(2**24, getattr(torch.cuda.get_device_properties(torch.cuda.current_device()), "L2_cache_size", 0))


def graphed(run: Callable[[], object]) -> Callable[[], None]:
    """A run as a CUDA graph: the GPU's own time, without that of starting its operations one by one.

    Args:
        run: the same work on the same memory at each call.

    Returns:
        What runs it again.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # libraries start, kernels are compiled
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def device_line(device: str, precision: str, *, graphs: bool = False) -> str:
    """What a table is of.

    Args:
        device: ``cpu`` or ``cuda``.
        precision: of ``PRECISIONS``.
        graphs: CUDA graphs.
    """
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {counted(torch.get_num_threads(), 'thread')}"
    how = ", CUDA graphs" if graphs else ""
    if device == "cpu" and precision == "bf16" and not multiplies_bf16(device):
        how = " (which it is not known to multiply: fp32 may be many times faster)"
    return f"{name}, PyTorch {torch.__version__}, {precision}{how}"
