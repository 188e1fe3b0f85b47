"""From a model to one graph of it, by `torch.export`, whose axes may vary."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from specvid.pipelines.export.axes import NAMES, Axes, AxisError
from specvid.pipelines.export.network import Exportable

Inputs: TypeAlias = tuple[Tensor, ...]
"""A clip (B, 3, T, H, W), and perhaps its mask (B, T)."""


def draw_inputs(sizes: tuple[int, ...], *, mask: bool, device: str = "cpu", seed: int = 0) -> Inputs:
    """A clip of normally distributed numbers, and a mask that pads the first clip's last third (of two or more
    frames)."""
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randn(sizes, generator=generator).to(device)
    if not mask:
        return (clip,)
    real = torch.ones(sizes[0], sizes[2], dtype=torch.bool, device=device)
    real[0, sizes[2] - sizes[2] // 3 :] = False
    return clip, real


def capture(network: Exportable, axes: Axes, inputs: Inputs) -> ExportedProgram:
    """The graph of ``network`` on ``inputs``, in which ``axes.dynamic`` vary.

    Raises `AxisError` naming an axis that cannot vary after all.
    """
    clip = {NAMES[name]: Dim.AUTO for name in axes.dynamic}
    mask = {index: Dim.AUTO for name, index in (("batch", 0), ("time", 1)) if name in axes.dynamic}
    try:
        with torch.no_grad():
            program = torch.export.export(network, inputs, dynamic_shapes=(clip, mask)[: len(inputs)])
    except Exception as error:
        if not axes.dynamic:
            raise ValueError(f"torch.export cannot capture this model: {first_line(error)}") from error
        # which axis is to blame cannot be read off: try with fewer, the one that is missed least first
        raise AxisError(axes.dynamic[-1], f"torch.export cannot let it vary: {first_line(error)}") from error
    captured = captured_sizes(program)
    for name in axes.dynamic:
        if isinstance(captured[NAMES[name]], int):
            raise AxisError(name, "the network computes with this very number")
    return program


def captured_sizes(program: ExportedProgram) -> tuple[int | torch.SymInt, ...]:
    """(B, 3, T, H, W) of the clip, a symbol where it may vary."""
    (first, *_) = program.graph_signature.user_inputs
    (node,) = [node for node in program.graph.nodes if node.op == "placeholder" and node.name == first]
    return tuple(node.meta["val"].shape)


def first_line(error: BaseException) -> str:
    """The first line of an error that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
