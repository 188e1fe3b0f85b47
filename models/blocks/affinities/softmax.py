"""Softmax affinity of the nonlocal block (1711.07971, equations 2 to 4) and of 1911.01059.

    embedded Gaussian:  A_ij = softmax_j(theta_i . phi_j · scale)        Gaussian:  A_ij = softmax_j(x_i . x_j)

Rows sum to 1; A is not symmetric. The softmax has full rank, so it is O(N^2) in time, but not in memory: attention
kernels apply it in O(N). With ``sub_sample`` the keys and values are max-pooled over space (``pooling.py``), and A is
N x N/4. DNL's affinity (2006.06668) splits the whitened pairwise term from a unary one that all queries share:

    A_ij = gamma · softmax_j((theta_i - mean theta) . (phi_j - mean phi) · scale) + softmax_j(m_j)

In the paper gamma = 1; in its repository it is learned, from 0.
"""

import torch
from torch import Tensor, nn

from specvid.models.blocks.affinities.base import Affinity, check_implementation
from specvid.models.blocks.affinities.pooling import SpatialPool, check_sub_sample
from specvid.models.blocks.attention import attend
from specvid.models.blocks.operators import Operator
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.precision import at_least_float32, full_precision


class SoftmaxAffinity(Affinity):
    """A_ij = softmax_j(theta_i . phi_j · scale), applied in O(N) memory by ``scaled_dot_product_attention``.

    Args:
        channels: C of the input.
        inner: Cs of theta and phi; ``None`` for the Gaussian kernel, which compares the features themselves.
        scale: a factor on the scores; ``True`` is Cs^-1/2, ``False`` is 1.
        sub_sample: max-pool keys and values by 2 in height and width, after their 1x1 convolutions, or with ``"input"``
            before, as video-nonlocal-net does.
        unary: add DNL's softmax_j(m_j), m a 1x1 convolution to one channel.
        whiten: subtract the mean over the positions from theta and phi, as DNL's paper does.
        gamma: have a learned factor on the pairwise term, which starts at 0, as DNL's repository does.
        bias: theta and phi have a bias.
        impl: ``attention`` (and ``auto``) runs in O(N) memory, ``dense`` forms A.
    """

    def __init__(
        self,
        channels: int,
        inner: int | None,
        *,
        scale: bool | float = False,
        sub_sample: bool | str = False,
        unary: bool = False,
        whiten: bool = False,
        gamma: bool = False,
        bias: bool = False,
        impl: str = "auto",
    ) -> None:
        super().__init__()
        self.scale = float(scale) if not isinstance(scale, bool) else inner**-0.5 if scale and inner else 1.0
        self.sub_sample = check_sub_sample(sub_sample)
        self.whiten = whiten
        self.impl = check_implementation(impl, ("auto", "attention", "dense"))
        self.theta = None if inner is None else Pointwise(channels, inner, bias=bias)
        self.phi = None if inner is None else Pointwise(channels, inner, bias=bias)
        self.unary = Pointwise(channels, 1) if unary else None
        self.gamma = nn.Parameter(torch.zeros(1)) if gamma else None

    def embed(self, x_bcn: Tensor) -> tuple[Tensor, ...]:
        """theta (B, Cs, N), and phi (B, Cs, N) and the unary scores (B, 1, N), or what they are computed from."""
        theta = x_bcn if self.theta is None else self.theta(x_bcn, token_major=True)
        return (theta, x_bcn) if self.sub_sample == "input" else (theta, *self._keys(x_bcn))

    def _keys(self, x_bcn: Tensor) -> tuple[Tensor, ...]:
        """phi (B, Cs, N), and the unary scores (B, 1, N) where there are any."""
        phi = x_bcn if self.phi is None else self.phi(x_bcn, token_major=True)
        return (phi,) if self.unary is None else (phi, self.unary(x_bcn))

    def operator(self, features: tuple[Tensor, ...], sizes: tuple[int, ...], mask_bn: Tensor | None) -> Operator:
        """The attention of theta over phi (which are what :meth:`embed` gives)."""
        theta_bcn, *keys = features
        pool = SpatialPool(sizes, mask_bn, at_input=self.sub_sample == "input") if self.sub_sample else None
        key_mask = mask_bn
        if pool is not None and pool.at_input:
            keys, key_mask = list(self._keys(pool(keys[0]))), pool.mask_bm
        if self.whiten:
            theta_bcn = _centred(theta_bcn, mask_bn)
            keys = [_centred(keys[0], key_mask), *keys[1:]]
        if pool is not None:
            keys = [pool.values(key) for key in keys]
        return Attention(
            theta_bcn,
            keys[0],
            scale=self.scale,
            mask_bn=mask_bn,
            pool=pool,
            unary_b1m=keys[1] if self.unary is not None else None,
            gamma=self.gamma,
            dense=self.impl == "dense",
        )


class Attention(Operator):
    """gamma · softmax_j(theta_i . phi_j · scale) + softmax_j(m_j), the second optional; keys outside the mask weigh 0.

    Args:
        theta_bcn: queries (B, Cs, N).
        phi_bcm: keys (B, Cs, N'), pooled where there is a pool.
        scale: factor on the scores.
        mask_bn: (B, N) bool, True where a position is valid.
        pool: what made the N' positions of the N.
        unary_b1m: m (B, 1, N').
        gamma: (1,); ``None`` is 1.
        dense: form A rather than use the fused attention kernel.
    """

    token_major = True

    def __init__(
        self,
        theta_bcn: Tensor,
        phi_bcm: Tensor,
        *,
        scale: float = 1.0,
        mask_bn: Tensor | None = None,
        pool: SpatialPool | None = None,
        unary_b1m: Tensor | None = None,
        gamma: Tensor | None = None,
        dense: bool = False,
    ) -> None:
        self.theta_bcn = theta_bcn
        self.phi_bcm = phi_bcm
        self.scale = scale
        self.gamma = gamma
        self.pool = pool
        self.pools_source = pool is not None and pool.at_input
        self.query_mask_bn = mask_bn
        self.key_mask_bm = mask_bn if pool is None else pool.mask_bm
        self.is_dense = dense
        self.unary_b1m = None if unary_b1m is None else self._softmax(unary_b1m)

    def source(self, x_bcn: Tensor) -> Tensor:
        """(B, C, N) -> (B, C, N) or (B, C, N')."""
        return self.pool(x_bcn) if self.pool is not None and self.pools_source else x_bcn

    def apply(self, z_bdn: Tensor) -> Tensor:
        """A z: (B, D, N) -> (B, D, N)."""
        z_bdm = z_bdn if self.pool is None else self.pool.values(z_bdn)
        if self.is_dense:
            y_bdn = torch.bmm(z_bdm, self._pairwise(self.theta_bcn).mT)
        else:
            attended_bnd = attend(
                self.theta_bcn.mT, self.phi_bcm.mT, z_bdm.mT, scale=self.scale, mask_bm=self.key_mask_bm
            )
            y_bdn = attended_bnd.mT
        if self.gamma is not None:
            y_bdn = y_bdn * self.gamma.to(y_bdn.dtype)
        if self.unary_b1m is not None:
            y_bdn = y_bdn + torch.bmm(z_bdm, self.unary_b1m.to(z_bdm.dtype).mT)
        return self._valid(y_bdn)

    def rows(self, positions: Tensor) -> Tensor:
        """(P,) -> (B, P, N')."""
        rows_bpm = self._pairwise(self.theta_bcn[:, :, positions])
        if self.gamma is not None:
            rows_bpm = rows_bpm * self.gamma
        if self.unary_b1m is not None:
            rows_bpm = rows_bpm + self.unary_b1m
        return rows_bpm if self.query_mask_bn is None else rows_bpm * self.query_mask_bn[:, positions].unsqueeze(-1)

    def dense(self) -> Tensor:
        """(B, N, N')."""
        return self.rows(torch.arange(self.theta_bcn.shape[-1], device=self.theta_bcn.device))

    def _pairwise(self, theta_bcp: Tensor) -> Tensor:
        """Rows (B, P, N') of the pairwise term for queries (B, Cs, P)."""
        scaled_bpc = theta_bcp.mT if self.scale == 1 else theta_bcp.mT * self.scale
        return self._softmax(torch.bmm(scaled_bpc, self.phi_bcm))

    def _softmax(self, scores: Tensor) -> Tensor:
        """Over the valid keys."""
        if self.key_mask_bm is not None:
            scores = scores.masked_fill(~self.key_mask_bm.unsqueeze(1), torch.finfo(scores.dtype).min)
        return scores.softmax(-1)

    def _valid(self, y_bdn: Tensor) -> Tensor:
        """0 outside the mask."""
        return y_bdn if self.query_mask_bn is None else y_bdn * self.query_mask_bn.unsqueeze(1)


def _centred(x_bcn: Tensor, mask_bn: Tensor | None) -> Tensor:
    """x minus its mean over the valid positions, which is taken in float32 at least."""
    with full_precision(x_bcn):
        if mask_bn is None:
            return x_bcn - x_bcn.mean(-1, keepdim=True)
        wide_bcn = at_least_float32(x_bcn).masked_fill(~mask_bn.unsqueeze(1), 0)
        mean_bc1 = wide_bcn.sum(-1, keepdim=True) / mask_bn.sum(-1).clamp_min(1)[:, None, None]
        return x_bcn - mean_bc1.to(x_bcn.dtype)
