"""Softmax affinity of the nonlocal block (1711.07971, equations 2 to 4) and of 1911.01059.

    embedded Gaussian:  A_ij = softmax_j(theta_i . phi_j · scale)        Gaussian:  A_ij = softmax_j(x_i . x_j)

Rows sum to 1; A is not symmetric. The softmax has full rank, so it is O(N^2) in time, but not in memory: attention
kernels apply it in O(N). With ``sub_sample`` the keys and values are max-pooled over space (1711.07971, section 3.3: a
quarter of the work), and A is N x N/4. DNL's affinity (2006.06668) splits the whitened pairwise term from a unary one
that is the same for every query:

    A_ij = softmax_j((theta_i - mean theta) . (phi_j - mean phi)) + softmax_j(m_j)
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from specvid.models.blocks.affinities.base import Affinity, check_implementation
from specvid.models.blocks.attention import attend
from specvid.models.blocks.operators import Operator
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.precision import at_least_float32, full_precision


class SoftmaxAffinity(Affinity):
    """A_ij = softmax_j(theta_i . phi_j · scale), applied in O(N) memory by ``scaled_dot_product_attention``.

    Args:
        channels: C of the input.
        inner: Cs of theta and phi; ``None`` for the Gaussian kernel, which compares the features themselves.
        scale: multiply the scores by Cs^-1/2.
        sub_sample: max-pool keys and values by 2 in height and width.
        unary: add DNL's softmax_j(m_j), m a 1x1 convolution to one channel.
        whiten: subtract the mean over the positions from theta and phi, as DNL's paper does.
        bias: theta and phi have a bias.
        impl: ``attention`` (and ``auto``) runs in O(N) memory, ``dense`` forms A.
    """

    def __init__(
        self,
        channels: int,
        inner: int | None,
        *,
        scale: bool = False,
        sub_sample: bool = False,
        unary: bool = False,
        whiten: bool = False,
        bias: bool = False,
        impl: str = "auto",
    ) -> None:
        super().__init__()
        self.scale = inner**-0.5 if scale and inner else 1.0
        self.sub_sample = sub_sample
        self.whiten = whiten
        self.impl = check_implementation(impl, ("auto", "attention", "dense"))
        self.theta = None if inner is None else Pointwise(channels, inner, bias=bias)
        self.phi = None if inner is None else Pointwise(channels, inner, bias=bias)
        self.unary = Pointwise(channels, 1) if unary else None

    def embed(self, x_bcn: Tensor) -> tuple[Tensor, ...]:
        """theta and phi (B, Cs, N), and the unary scores (B, 1, N) where there are any."""
        theta = x_bcn if self.theta is None else self.theta(x_bcn, token_major=True)
        phi = x_bcn if self.phi is None else self.phi(x_bcn, token_major=True)
        return (theta, phi) if self.unary is None else (theta, phi, self.unary(x_bcn))

    def operator(self, features: tuple[Tensor, ...], sizes: tuple[int, ...], mask_bn: Tensor | None) -> Operator:
        """The attention of theta over phi (which are what :meth:`embed` gives)."""
        theta_bcn, phi_bcn = features[:2]
        if self.whiten:
            theta_bcn, phi_bcn = _centred(theta_bcn, mask_bn), _centred(phi_bcn, mask_bn)
        pool = SpatialPool(sizes, mask_bn) if self.sub_sample else None
        unary_b1n = features[2] if self.unary is not None else None
        return Attention(
            theta_bcn,
            phi_bcn,
            scale=self.scale,
            mask_bn=mask_bn,
            pool=pool,
            unary_b1n=unary_b1n,
            dense=self.impl == "dense",
        )


class SpatialPool:
    """Max-pooling by 2 in height and width of flattened features (B, C, N) whose ``sizes`` are (..., H, W).

    Args:
        sizes: of one graph.
        mask_bn: (B, N) bool, True where a position is valid; the others are not seen.

    Raises:
        ValueError: there is no space, or it is smaller than 2 x 2.
    """

    def __init__(self, sizes: tuple[int, ...], mask_bn: Tensor | None = None) -> None:
        if len(sizes) < 2 or min(sizes[-2:]) < 2:
            raise ValueError(
                f"sub_sample=True pools 2 x 2 in space, which positions of sizes {sizes} do not allow; use "
                "sub_sample=False."
            )
        self.sizes = sizes
        self.invalid_b1n = None if mask_bn is None else ~mask_bn.unsqueeze(1)
        self.mask_bm: Tensor | None = None
        """(B, N'): a pooled position is valid where any of its four is."""
        if mask_bn is not None:
            self.mask_bm = self._pool(mask_bn.unsqueeze(1).float()).squeeze(1) > 0

    def __call__(self, x_bcn: Tensor) -> Tensor:
        """Pool features.

        Args:
            x_bcn: (B, C, N).

        Returns:
            (B, C, N'), N' = T·(H // 2)·(W // 2), 0 where none of the four positions is valid.
        """
        if self.invalid_b1n is None or self.mask_bm is None:
            return self._pool(x_bcn)
        pooled_bcm = self._pool(x_bcn.masked_fill(self.invalid_b1n, torch.finfo(x_bcn.dtype).min))
        return pooled_bcm.masked_fill(~self.mask_bm.unsqueeze(1), 0)

    def _pool(self, x_bcn: Tensor) -> Tensor:
        batch, channels, positions = x_bcn.shape
        height, width = self.sizes[-2:]
        x = x_bcn.reshape(batch, channels * (positions // (height * width)), height, width)
        return F.max_pool2d(x, 2).reshape(batch, channels, positions // (height * width) * (height // 2) * (width // 2))


class Attention(Operator):
    """softmax_j(theta_i . phi_j · scale), optionally plus a unary softmax_j(m_j); keys outside the mask have weight 0.

    Args:
        theta_bcn: queries (B, Cs, N).
        phi_bcn: keys (B, Cs, N).
        scale: factor on the scores.
        mask_bn: True where a position is valid.
        pool: applied to keys and values.
        unary_b1n: m.
        dense: form A rather than use the fused attention kernel.
    """

    token_major = True

    def __init__(
        self,
        theta_bcn: Tensor,
        phi_bcn: Tensor,
        *,
        scale: float = 1.0,
        mask_bn: Tensor | None = None,
        pool: SpatialPool | None = None,
        unary_b1n: Tensor | None = None,
        dense: bool = False,
    ) -> None:
        self.theta_bcn = theta_bcn
        self.phi_bcn = phi_bcn if pool is None else pool(phi_bcn)
        self.scale = scale
        self.pool = pool
        self.query_mask_bn = mask_bn
        self.key_mask_bm = mask_bn if pool is None else pool.mask_bm
        self.is_dense = dense
        self.unary_b1m = None
        if unary_b1n is not None:
            self.unary_b1m = self._softmax(unary_b1n if pool is None else pool(unary_b1n))

    def apply(self, z_bdn: Tensor) -> Tensor:
        """A z: (B, D, N) -> (B, D, N)."""
        z_bdm = z_bdn if self.pool is None else self.pool(z_bdn)
        if self.is_dense:
            y_bdn = torch.bmm(z_bdm, self._pairwise(self.theta_bcn).mT)
        else:
            attended_bnd = attend(
                self.theta_bcn.mT, self.phi_bcn.mT, z_bdm.mT, scale=self.scale, mask_bm=self.key_mask_bm
            )
            y_bdn = attended_bnd.mT
        if self.unary_b1m is not None:
            y_bdn = y_bdn + torch.bmm(z_bdm, self.unary_b1m.to(z_bdm.dtype).mT)
        return self._valid(y_bdn)

    def rows(self, positions: Tensor) -> Tensor:
        """(P,) -> (B, P, N')."""
        rows_bpm = self._pairwise(self.theta_bcn[:, :, positions])
        if self.unary_b1m is not None:
            rows_bpm = rows_bpm + self.unary_b1m
        return rows_bpm if self.query_mask_bn is None else rows_bpm * self.query_mask_bn[:, positions].unsqueeze(-1)

    def dense(self) -> Tensor:
        """(B, N, N')."""
        return self.rows(torch.arange(self.theta_bcn.shape[-1], device=self.theta_bcn.device))

    def _pairwise(self, theta_bcp: Tensor) -> Tensor:
        """Rows (B, P, N') of the pairwise term for queries (B, Cs, P)."""
        scaled_bpc = theta_bcp.mT if self.scale == 1 else theta_bcp.mT * self.scale
        return self._softmax(torch.bmm(scaled_bpc, self.phi_bcn))

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
