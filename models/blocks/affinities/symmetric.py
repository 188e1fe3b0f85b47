"""Symmetric normalised affinity of SNL (2108.02451, section 4.1: so that the spectrum is real and bounded).

    M = relu(theta)^T relu(phi),   A = D^-1/2 (M + M^T)/2 D^-1/2,   D = diag of the row sums of (M + M^T)/2      (N x N)

with theta, phi (Cs, N) 1x1 convolutions of x. A row whose sum is 0 stays 0. M has rank <= Cs, so A is applied exactly
without being formed. With TP = [relu(theta); relu(phi)] (2Cs, N), r = d^-1/2, F = TP·r and s(.) the exchange of the two
halves of the rows:

    d = s(TP·1)^T TP / 2,        A = F^T s(F) / 2                 O(N·Cs·D) time for D channels, O(N·Cs) memory
"""

import torch
from torch import Tensor

from specvid.models.blocks.affinities.base import FactoredAffinity, check_implementation
from specvid.models.blocks.operators import Dense, LowRank, Operator
from specvid.models.blocks.pointwise import Pointwise, pointwise
from specvid.models.blocks.precision import at_least_float32, full_precision


class SymmetricAffinity(FactoredAffinity):
    """A = D^-1/2 (M + M^T)/2 D^-1/2 with M = relu(theta)^T relu(phi); eigenvalues in [-1, 1], the largest 1.

    Args:
        channels: C of the input.
        inner: Cs of theta and phi.
        impl: ``linear`` never forms A, ``dense`` does, ``auto`` takes the one with fewer multiplications.
        value: D, the channels that A will be applied to; only ``auto`` reads it.
        applications: how often A will be applied; only ``auto`` reads it.
        bias: theta and phi have a bias.
    """

    symmetric = True

    def __init__(
        self,
        channels: int,
        inner: int,
        *,
        impl: str = "auto",
        value: int | None = None,
        applications: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.inner = inner
        self.impl = check_implementation(impl)
        self.value = value or inner
        self.applications = applications
        self.theta = Pointwise(channels, inner, bias=bias)
        self.phi = Pointwise(channels, inner, bias=bias)

    def embed(self, x_bcn: Tensor) -> tuple[Tensor, ...]:
        """relu of theta and phi, one under the other: (B, 2Cs, N), from one matrix product."""
        weight = torch.cat((self.theta.weight, self.phi.weight))
        bias = None if self.theta.bias is None or self.phi.bias is None else torch.cat((self.theta.bias, self.phi.bias))
        return (pointwise(x_bcn, weight, bias).relu(),)

    def totals(self, features: tuple[Tensor, ...], mask_bn: Tensor | None) -> Tensor:
        """TP·1 (B, 2Cs): what the degrees of all positions need."""
        with full_precision(features[0]):
            return at_least_float32(_masked(features[0], mask_bn)).sum(-1)

    def factor(self, features: tuple[Tensor, ...], totals: Tensor, mask_bn: Tensor | None) -> LowRank:
        """A = F^T s(F) / 2."""
        embedded_brn = _masked(features[0], mask_bn)
        factor_brn = embedded_brn * inverse_sqrt_degree(embedded_brn, totals).to(embedded_brn.dtype)
        return LowRank(factor_brn, factor_brn, scale=0.5, swap=True)

    def operator(self, features: tuple[Tensor, ...], sizes: tuple[int, ...], mask_bn: Tensor | None) -> Operator:
        """A from [relu(theta); relu(phi)] (B, 2Cs, N)."""
        operator = self.factor(features, self.totals(features, mask_bn), mask_bn)
        if self.dense_is_cheaper(features[0].shape[-1]):
            return Dense(operator.dense(), symmetric=True)
        return operator

    def dense_is_cheaper(self, positions: int) -> bool:
        """Whether forming A takes fewer multiplications, or ``impl`` asks for it.

        To form A and apply it k times takes N^2 (Cs + k D) of them, to apply it without forming it 4 k N Cs D.

        Args:
            positions: N.

        Returns:
            Whether A is formed.
        """
        if self.impl != "auto":
            return self.impl == "dense"
        dense = positions * (self.inner + self.applications * self.value)
        return dense < 4 * self.applications * self.inner * self.value


def inverse_sqrt_degree(embedded_brn: Tensor, totals_br: Tensor) -> Tensor:
    """The normalisation d^-1/2 of the affinity, never in half precision.

    The degree d grows with N: in float16 it overflows at N = 12,544.

    Args:
        embedded_brn: [relu(theta); relu(phi)] (B, 2Cs, N).
        totals_br: its sums over all positions (B, 2Cs).

    Returns:
        (B, 1, N), 0 where the degree is 0.
    """
    with full_precision(embedded_brn):
        swapped_br = torch.cat(totals_br.chunk(2, dim=-1)[::-1], dim=-1)
        degree_b1n = torch.bmm(swapped_br.unsqueeze(1), at_least_float32(embedded_brn)) * 0.5
        connected = degree_b1n > 0
        return torch.where(connected, torch.where(connected, degree_b1n, 1.0).rsqrt(), 0.0)


def _masked(x_bcn: Tensor, mask_bn: Tensor | None) -> Tensor:
    """0 outside the mask."""
    return x_bcn if mask_bn is None else x_bcn * mask_bn.unsqueeze(1)
