"""Affinities without a softmax over pairs, whose rank is that of their features.

dot product    A = theta^T phi / N,  N the number of valid positions           1711.07971, equation 4
relu product   A = relu(theta)^T relu(phi), not normalised                     what the SNL repository calls ``a2``
double         A = V^T M,  M = softmax over the N positions (gather),
               V = softmax over the Cs maps (distribute)                       1810.11579, sections 3.1 and 3.2
"""

import torch
from torch import Tensor

from specvid.models.blocks.affinities.base import FactoredAffinity, check_implementation
from specvid.models.blocks.affinities.pooling import SpatialPool, check_sub_sample
from specvid.models.blocks.operators import Dense, LowRank, Operator
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.precision import at_least_float32, full_precision

KINDS = ("dot", "relu", "double")

SPREAD = 64.0  # lifts softmax weights of 1/N out of float16's subnormal numbers


class ProductAffinity(FactoredAffinity):
    """A = f(theta)^T h(phi), exactly in O(N·Cs·D).

    Args:
        channels: C of the input.
        inner: Cs, the rank.
        kind: ``dot``, ``relu`` or ``double`` as above (for ``double``, theta distributes and phi gathers).
        sub_sample: max-pool phi and the values by 2 in height and width (``dot`` only); ``"input"``: before their 1x1
            convolutions.
        impl: ``linear``, ``dense`` or ``auto`` (the fewer multiplications).
        bias: theta and phi have a bias.
    """

    def __init__(
        self,
        channels: int,
        inner: int,
        *,
        kind: str,
        sub_sample: bool | str = False,
        impl: str = "auto",
        bias: bool = False,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r} is unknown: choose from {', '.join(map(repr, KINDS))}.")
        if sub_sample and kind != "dot":
            raise ValueError(f"sub_sample=True goes with kind='dot', not with {kind!r}.")
        self.kind = kind
        self.inner = inner
        self.sub_sample = check_sub_sample(sub_sample)
        self.impl = check_implementation(impl)
        self.theta = Pointwise(channels, inner, bias=bias)
        self.phi = Pointwise(channels, inner, bias=bias)

    def embed(self, x_bcn: Tensor) -> tuple[Tensor, ...]:
        """theta (B, Cs, N), and phi (B, Cs, N) or what it is computed from."""
        theta, phi = self.theta(x_bcn), x_bcn if self.sub_sample == "input" else self.phi(x_bcn)
        return (theta.relu(), phi.relu()) if self.kind == "relu" else (theta, phi)

    def totals(self, features: tuple[Tensor, ...], mask_bn: Tensor | None) -> Tensor:
        """Of ``double`` the logarithms of the softmax's denominators (B, Cs, 1), else the number of valid positions
        (B, 1, 1).
        """
        right_brn = features[1]
        with full_precision(right_brn):
            if self.kind == "double":
                wide_brn = at_least_float32(right_brn)
                if mask_bn is not None:
                    wide_brn = wide_brn.masked_fill(~mask_bn.unsqueeze(1), torch.finfo(wide_brn.dtype).min)
                return wide_brn.logsumexp(-1, keepdim=True)
            wide_b11 = at_least_float32(right_brn[:, :1, :1])
            if mask_bn is None:
                return torch.full_like(wide_b11, right_brn.shape[-1])
            return mask_bn.sum(-1).clamp_min(1).to(wide_b11.dtype)[:, None, None]

    def merge(self, totals: Tensor, others: Tensor) -> Tensor:
        """Numbers of positions add up; so do denominators, whose logarithms these are."""
        return totals.logaddexp(others) if self.kind == "double" else totals + others

    def factor(self, features: tuple[Tensor, ...], totals: Tensor, mask_bn: Tensor | None) -> LowRank:
        """left^T right, with factors of N spread so that no sum over N positions leaves half precision's range."""
        left_brn, right_brn = features
        if mask_bn is not None:
            left_brn, right_brn = left_brn * mask_bn.unsqueeze(1), right_brn * mask_bn.unsqueeze(1)
        if self.kind == "relu":
            return LowRank(left_brn, right_brn, wide=True)
        if self.kind == "dot":
            root_b11 = totals.rsqrt().to(right_brn.dtype)
            return LowRank(left_brn * root_b11, right_brn * root_b11)
        with full_precision(right_brn):
            if mask_bn is not None:  # a graph without valid positions
                totals = totals.where(totals > torch.finfo(totals.dtype).min / 2, 0.0)
            gather_brn = (at_least_float32(right_brn) - totals).exp() * SPREAD
            distribute_brn = left_brn.softmax(1)
            if mask_bn is not None:
                gather_brn, distribute_brn = gather_brn * mask_bn.unsqueeze(1), distribute_brn * mask_bn.unsqueeze(1)
        return LowRank(distribute_brn.to(left_brn.dtype), gather_brn.to(left_brn.dtype), scale=1 / SPREAD)

    def operator(self, features: tuple[Tensor, ...], sizes: tuple[int, ...], mask_bn: Tensor | None) -> Operator:
        """A = left^T right; N x N' with pooled keys."""
        if self.sub_sample:
            return self._pooled(features, SpatialPool(sizes, mask_bn, at_input=self.sub_sample == "input"), mask_bn)
        operator = super().operator(features, sizes, mask_bn)
        dense = self.impl == "dense" or (self.impl == "auto" and features[0].shape[-1] < self.inner)
        return Dense(operator.dense()) if dense else operator

    def _pooled(self, features: tuple[Tensor, ...], pool: SpatialPool, mask_bn: Tensor | None) -> Operator:
        """A = left^T right / N' with pooled keys."""
        left_brn, right_brn = features[0], pool(features[1])
        if pool.at_input:
            right_brn = self.phi(right_brn)
            if pool.mask_bm is not None:
                right_brn = right_brn * pool.mask_bm.unsqueeze(1)
        root_b11 = self.totals((left_brn, right_brn), pool.mask_bm).rsqrt().to(right_brn.dtype)
        if mask_bn is not None:
            left_brn = left_brn * mask_bn.unsqueeze(1)
        return Pooled(LowRank(left_brn * root_b11, right_brn * root_b11), pool)


class Pooled(Operator):
    """An N x N' operator whose values are max-pooled to N' positions first.

    Args:
        inner: the operator on pooled values (B, D, N').
        pool: the pooling.
    """

    def __init__(self, inner: Operator, pool: SpatialPool) -> None:
        self.inner = inner
        self.pool = pool
        self.pools_source = pool.at_input

    def source(self, x_bcn: Tensor) -> Tensor:
        """(B, C, N) -> (B, C, N) or (B, C, N')."""
        return self.pool(x_bcn) if self.pools_source else x_bcn

    def apply(self, z_bdn: Tensor) -> Tensor:
        """(B, D, N) -> (B, D, N), of signals at the N' positions too."""
        return self.inner.apply(self.pool.values(z_bdn))

    def rows(self, positions: Tensor) -> Tensor:
        """(P,) -> (B, P, N')."""
        return self.inner.rows(positions)

    def dense(self) -> Tensor:
        """(B, N, N')."""
        return self.inner.dense()
