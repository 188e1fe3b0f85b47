"""Concatenation affinity of the nonlocal block (1711.07971, equation 5): A_ij = relu(w . [theta_i; phi_j]) / N.

With a_i = w_theta . theta_i and b_j = w_phi . phi_j it is relu(a_i + b_j) / N, which needs no pairs: with the positions
sorted by b,

    sum_j relu(a_i + b_j) z_j = a_i · sum_{j: b_j > -a_i} z_j + sum_{j: b_j > -a_i} b_j z_j

are two suffix sums, looked up at the first b_j > -a_i: exactly A z, in O(N log N + N·D).
"""

import torch
from torch import Tensor

from specvid.models.blocks.affinities.base import Affinity
from specvid.models.blocks.affinities.pooling import SpatialPool, check_sub_sample
from specvid.models.blocks.operators import Operator
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.precision import at_least_float32, full_precision


class ConcatenationAffinity(Affinity):
    """A_ij = relu(w . [theta_i; phi_j]) / N.

    Args:
        channels: C of the input.
        inner: Cs of theta and phi.
        sub_sample: max-pool phi and the values by 2 in height and width; ``"input"``: before their 1x1 convolutions.
        bias: theta and phi have a bias.
    """

    def __init__(self, channels: int, inner: int, *, sub_sample: bool | str = False, bias: bool = False) -> None:
        super().__init__()
        self.sub_sample = check_sub_sample(sub_sample)
        self.theta = Pointwise(channels, inner, bias=bias)
        self.phi = Pointwise(channels, inner, bias=bias)
        self.project = Pointwise(2 * inner, 1)

    def embed(self, x_bcn: Tensor) -> tuple[Tensor, ...]:
        """theta (B, Cs, N), and phi (B, Cs, N) or what it is computed from."""
        return self.theta(x_bcn), x_bcn if self.sub_sample == "input" else self.phi(x_bcn)

    def operator(self, features: tuple[Tensor, ...], sizes: tuple[int, ...], mask_bn: Tensor | None) -> Operator:
        """A from theta and phi."""
        theta_bcn, phi_bcn = features
        pool = SpatialPool(sizes, mask_bn, at_input=self.sub_sample == "input") if self.sub_sample else None
        if pool is not None:
            phi_bcn = self.phi(pool(phi_bcn)) if pool.at_input else pool(phi_bcn)
        weight_a, weight_b = self.project.weight.squeeze(-1).chunk(2, dim=1)
        a_bn = torch.matmul(weight_a, theta_bcn).squeeze(1)
        b_bm = torch.matmul(weight_b, phi_bcn).squeeze(1)
        return ReluSum(a_bn, b_bm, mask_bn=mask_bn, pool=pool)


class ReluSum(Operator):
    """A_ij = relu(a_i + b_j) / (number of valid j).

    Args:
        a_bn: a (B, N).
        b_bm: b (B, N'), of pooled positions where there is a pool.
        mask_bn: (B, N) bool, True where a position is valid.
        pool: applied to values.
    """

    def __init__(self, a_bn: Tensor, b_bm: Tensor, *, mask_bn: Tensor | None, pool: SpatialPool | None) -> None:
        self.a_bn = at_least_float32(a_bn)
        self.b_bm = at_least_float32(b_bm)
        self.pool = pool
        self.pools_source = pool is not None and pool.at_input
        self.mask_bn = mask_bn
        self.key_mask_bm = mask_bn if pool is None else pool.mask_bm
        if self.key_mask_bm is None:
            self.scale_b1 = self.b_bm.new_full((self.b_bm.shape[0], 1), 1 / self.b_bm.shape[-1])
        else:
            self.scale_b1 = 1 / self.key_mask_bm.sum(-1, keepdim=True).clamp_min(1).to(self.b_bm.dtype)

    def source(self, x_bcn: Tensor) -> Tensor:
        """(B, C, N) -> (B, C, N) or (B, C, N')."""
        return self.pool(x_bcn) if self.pool is not None and self.pools_source else x_bcn

    def apply(self, z_bdn: Tensor) -> Tensor:
        """A z in O(N log N): (B, D, N) -> (B, D, N)."""
        with full_precision(z_bdn):
            z_bdm = at_least_float32(z_bdn if self.pool is None else self.pool.values(z_bdn))
            if self.key_mask_bm is not None:
                z_bdm = z_bdm * self.key_mask_bm.unsqueeze(1)
            sorted_bm, order_bm = self.b_bm.sort(-1)
            sorted_z_bdm = z_bdm.gather(-1, order_bm.unsqueeze(1).expand_as(z_bdm))
            first_bn = (
                torch.searchsorted(sorted_bm.detach(), -self.a_bn.detach(), right=True)
                .unsqueeze(1)
                .expand(-1, z_bdm.shape[1], -1)
            )
            mass_bdn = _suffix_sums(sorted_z_bdm).gather(-1, first_bn)
            moment_bdn = _suffix_sums(sorted_z_bdm * sorted_bm.unsqueeze(1)).gather(-1, first_bn)
            y_bdn = (self.a_bn.unsqueeze(1) * mass_bdn + moment_bdn) * self.scale_b1.unsqueeze(-1)
            if self.mask_bn is not None:
                y_bdn = y_bdn * self.mask_bn.unsqueeze(1)
        return y_bdn.to(z_bdn.dtype)

    def rows(self, positions: Tensor) -> Tensor:
        """(P,) -> (B, P, N')."""
        rows_bpm = (self.a_bn[:, positions].unsqueeze(-1) + self.b_bm.unsqueeze(1)).relu()
        rows_bpm = rows_bpm * self.scale_b1.unsqueeze(-1)
        if self.key_mask_bm is not None and self.mask_bn is not None:
            rows_bpm = rows_bpm * self.key_mask_bm.unsqueeze(1) * self.mask_bn[:, positions].unsqueeze(-1)
        return rows_bpm

    def dense(self) -> Tensor:
        """(B, N, N')."""
        return self.rows(torch.arange(self.a_bn.shape[-1], device=self.a_bn.device))


def _suffix_sums(x_bdm: Tensor) -> Tensor:
    """Sums over all positions from m on, for m = 0 ... M (the last one 0): (B, D, M) -> (B, D, M + 1)."""
    sums_bdm = x_bdm.flip(-1).cumsum(-1).flip(-1)
    return torch.cat((sums_bdm, torch.zeros_like(sums_bdm[..., :1])), dim=-1)
