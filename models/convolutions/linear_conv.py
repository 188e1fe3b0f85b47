"""LinearConv (1907.11432): half of the filters are learned, the others are combinations of them.

    W = [P; M P]           P (F/2 x I·k) primary filters, M the rest of the F filters by the primary ones; in each group

A training adds ``weight`` · sum_ij |corr(P)_ij - δ_ij| to its loss, so that the primary filters do not repeat each
other. Afterwards it is merged into a plain convolution (`to_convolution`). The start is the first half of the trained
filters, and of the second half what their combinations come nearest to: the same where the first half spans it, as
where I·k is at most F/2.
"""

from math import inf

import torch
from torch import Tensor, nn

from specvid.models.convolutions.base import StaticConvolution
from specvid.models.convolutions.registry import register_convolution
from specvid.models.convolutions.spec import ConvolutionSpec

_TINY = 1e-8


@register_convolution("linear_conv")
class LinearConvolution(StaticConvolution):
    """Primary filters, and combinations of them.

    Args:
        spec: Shape and geometry.
        weight: Factor of the regulariser in the loss.

    Raises:
        ValueError: A group has a single filter, or the factor is negative.
    """

    def __init__(self, spec: ConvolutionSpec, *, weight: float = 1e-2) -> None:
        super().__init__(spec)
        filters = spec.out_channels // spec.groups
        if filters < 2:
            raise ValueError("convolution 'linear_conv' needs at least two filters in a group, and there is one.")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < inf:
            raise ValueError(f"weight={weight!r} of convolution 'linear_conv' is not possible: it is a number from 0.")
        self.weight_of_penalty = float(weight)
        self.primary = nn.Parameter(torch.zeros(spec.groups * (filters // 2), *spec.weight_shape[1:]))
        self.mixing = nn.Parameter(torch.zeros(spec.groups, filters - filters // 2, filters // 2))

    def kernel(self) -> Tensor:
        """[P; M P] of each group."""
        primary = self.primary.flatten(1).unflatten(0, (self.spec.groups, -1))
        return torch.cat((primary, self.mixing @ primary), dim=1).reshape(self.spec.weight_shape)

    def load_kernel(self, weight: Tensor) -> None:
        """The first filters, and of the others the nearest combinations of these."""
        grouped = weight.flatten(1).unflatten(0, (self.spec.groups, -1))
        count = self.mixing.shape[-1]
        first, rest = grouped[:, :count], grouped[:, count:]
        self.primary.copy_(first.reshape(self.primary.shape))
        self.mixing.copy_(rest @ torch.linalg.pinv(first))

    def correlation(self) -> Tensor:
        """sum_ij |corr(P)_ij - δ_ij| over the filters of each group, a scalar."""
        rows = self.primary.flatten(1).unflatten(0, (self.spec.groups, -1))
        centred = rows - rows.mean(-1, keepdim=True)
        length = centred.norm(dim=-1).clamp_min(_TINY)
        correlation = (centred @ centred.mT / (length.unsqueeze(-1) * length.unsqueeze(-2))).clamp(-1, 1)
        return (correlation - torch.eye(rows.shape[1], device=rows.device, dtype=rows.dtype)).abs().sum()

    def penalty(self) -> Tensor | None:
        """The regulariser with its factor."""
        return self.weight_of_penalty * self.correlation() if self.weight_of_penalty else None
