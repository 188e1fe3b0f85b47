"""Is what the file computes what the model computes?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from specvid.pipelines.export.axes import Axes, AxisError
from specvid.pipelines.export.capture import Exportable, Inputs, draw_inputs, first_line
from specvid.pipelines.networks.finite import require_finite

TOLERANCE = 1e-4
"""Largest deviation of any number that is accepted, relative to the largest one of the original's output."""
HALF_TOLERANCE = 2e-2
"""The same for float16."""

Runner = Callable[[Inputs], Tensor]


@dataclass(frozen=True)
class Comparison:
    """How far a file is from the model.

    Attributes:
        sizes: (B, C, T, H, W) of the clips.
        deviation: the largest one, relative to the largest number of the original's output.
    """

    sizes: tuple[int, ...]
    deviation: float

    def __str__(self) -> str:
        return f"{' x '.join(map(str, self.sizes))}: {self.deviation:.1e}"


def compare(
    network: Exportable, runner: Runner, axes: Axes, *, mask: bool, device: str, tolerance: float = TOLERANCE
) -> list[Comparison]:
    """Compare a file with the original, at the captured size and at another size of every axis that may vary.

    Args:
        network: the original.
        runner: runs the file.
        axes: of the clips.
        mask: whether there is a mask.
        device: where the original is.
        tolerance: of a deviation.

    Returns:
        A comparison for each size.

    Raises:
        AxisError: either refuses another size of an axis.
        ValueError: the numbers deviate by more than ``tolerance``, or the original gives none.
    """
    found = []
    for number, (axis, sizes) in enumerate(axes.probes().items()):
        inputs = draw_inputs(sizes, mask=mask, device=device, seed=number, input=axes.input)
        wanted = _run("the model itself", axis, sizes, network, inputs)
        require_finite(wanted, network, "the model itself")
        given = _run("what was written", axis, sizes, runner, inputs)
        found.append(Comparison(sizes, deviation(given, wanted)))
        if not found[-1].deviation <= tolerance:
            fix = " Float16 does not hold its numbers: leave half out." if tolerance > TOLERANCE else ""
            raise ValueError(
                f"what was written gives other numbers than the model: they deviate by {found[-1].deviation:.1e} of "
                f"the largest one at clips of {' x '.join(map(str, sizes))}, more than {tolerance:.0e}. "
                f"It was thrown away.{fix}"
            )
    return found


def shortest_clip(
    network: Exportable, runner: Runner, axes: Axes, *, mask: bool, device: str, tolerance: float = TOLERANCE
) -> int:
    """The least number of frames that both the file and the model take, and agree on.

    Args:
        network: as of `compare`.
        runner: likewise.
        axes: likewise.
        mask: likewise.
        device: likewise.
        tolerance: likewise.

    Returns:
        Frames.
    """
    batch, channels, frames, height, width = axes.sizes
    for fewer in range(1, frames) if "time" in axes.dynamic else ():
        inputs = draw_inputs((batch, channels, fewer, height, width), mask=mask, device=device, input=axes.input)
        try:
            with torch.no_grad():
                if deviation(runner(inputs), network(*inputs)) <= tolerance:
                    return fewer
        except Exception:  # either refuses it, in words of its own
            continue
    return frames


def deviation(given: Tensor, wanted: Tensor) -> float:
    """The largest error, relative to the largest value: max |given - wanted| / max |wanted|.

    Args:
        given: any shape.
        wanted: the same shape.

    Returns:
        The ratio; infinite where the shapes differ, or either is not finite.
    """
    if given.shape != wanted.shape or not torch.isfinite(given).all() or not torch.isfinite(wanted).all():
        return float("inf")
    largest = wanted.abs().max().clamp_min(torch.finfo(wanted.dtype).tiny)
    return float((given.to(wanted) - wanted).abs().max() / largest)


def _run(who: str, axis: str, sizes: tuple[int, ...], function: Callable[..., Tensor], inputs: Inputs) -> Tensor:
    try:
        with torch.no_grad():
            return function(*inputs) if isinstance(function, Exportable) else function(inputs)
    except Exception as error:
        why = f"{who} refuses clips of {' x '.join(map(str, sizes))}: {first_line(error)}"
        if not axis:
            raise ValueError(why) from error
        raise AxisError(axis, why) from error
