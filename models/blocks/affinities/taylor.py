"""Compact generalised affinity (CGNL, 1810.13125, equations 9 to 12): pairs of channels as well as of positions.

The vertices are the c·N numbers of a group of c channels, and the Gaussian kernel between them is its Taylor series of
order P:

    A = sum_{p=0..P} alpha_p^2 theta^p (phi^p)^T,    alpha_p^2 = exp(-2 gamma) (2 gamma)^p / p!       theta, phi (c·N)

so A (c·N x c·N) has rank P + 1 and A z costs O(P·C·N). The authors' repository calls this kernel SpatialCGNLx and has a
second one, SpatialCGNL, and a scale (c·N)^-1/2 on either:

    A = theta phi^T
"""

import math

import torch
from torch import Tensor

from specvid.errors import unknown
from specvid.models.blocks.affinities.base import FactoredAffinity
from specvid.models.blocks.operators import Factored
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.precision import at_least_float32, full_precision

TAYLOR_KERNELS = ("gaussian", "dot")


class TaylorAffinity(FactoredAffinity):
    """The compact kernel over channels and positions: A of rank P + 1 per group.

    Args:
        channels: C of the input.
        inner: Cs of theta and phi, and the number of channels A is applied to.
        groups: channels are related within groups of Cs / groups.
        kernel: ``gaussian`` (the series), or ``dot`` (theta phi^T).
        scale: multiply A by (c·N)^-1/2.
        order: P, the last power of the series.
        gamma: of the Gaussian exp(-gamma |theta - phi|^2).
        bias: theta and phi have a bias.
    """

    def __init__(
        self,
        channels: int,
        inner: int,
        *,
        groups: int = 1,
        kernel: str = "gaussian",
        scale: bool = False,
        order: int = 2,
        gamma: float = 1e-4,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if groups < 1 or inner % groups:
            raise ValueError(
                f"groups={groups} does not divide the inner width {inner}: every group holds as many channels; "
                f"choose a divisor."
            )
        if order < 1:
            raise ValueError(f"order={order} is not possible: the Taylor series needs at least order 1.")
        if kernel not in TAYLOR_KERNELS:
            raise unknown("kernel", kernel, TAYLOR_KERNELS)
        self.groups = groups
        self.scale = scale
        series = {p: math.exp(-2 * gamma) * (2 * gamma) ** p / math.factorial(p) for p in range(order + 1)}
        self.coefficients = {1: 1.0} if kernel == "dot" else series
        self.theta = Pointwise(channels, inner, bias=bias)
        self.phi = Pointwise(channels, inner, bias=bias)

    def embed(self, x_bcn: Tensor) -> tuple[Tensor, ...]:
        """theta and phi (B, Cs, N)."""
        return self.theta(x_bcn), self.phi(x_bcn)

    def totals(self, features: tuple[Tensor, ...], mask_bn: Tensor | None) -> Tensor:
        """The number of valid positions (B, 1, 1) with a scale; without one nothing is needed: an empty tensor."""
        if not self.scale:
            return features[0].new_zeros(0)
        count_b11 = torch.full_like(at_least_float32(features[0][:, :1, :1]), features[0].shape[-1])
        return count_b11 if mask_bn is None else mask_bn.sum(-1).to(count_b11.dtype)[:, None, None]

    def factor(self, features: tuple[Tensor, ...], totals: Tensor, mask_bn: Tensor | None) -> Factored:
        """The series over the c·N vertices of each group."""
        scale_b11 = None
        if self.scale:
            scale_b11 = (totals.clamp_min(1) * (features[0].shape[1] // self.groups)).rsqrt()
        return Taylor(
            *features, groups=self.groups, coefficients=self.coefficients, scale_b11=scale_b11, mask_bn=mask_bn
        )


class Taylor(Factored):
    """A = sum_p coefficient_p theta^p (phi^p)^T on the c·N vertices of each group; here "positions" are vertices.

    Args:
        theta_bcn: (B, Cs, N).
        phi_bcn: (B, Cs, N).
        groups: channels are related within groups of Cs / groups.
        coefficients: alpha_p^2 for each power p.
        scale_b11: a factor on A (B, 1, 1); ``None`` is 1.
        mask_bn: (B, N) bool, True where a position is valid.
    """

    wide = True

    def __init__(
        self,
        theta_bcn: Tensor,
        phi_bcn: Tensor,
        *,
        groups: int,
        coefficients: dict[int, float],
        scale_b11: Tensor | None = None,
        mask_bn: Tensor | None,
    ) -> None:
        self.groups = groups
        self.shape = theta_bcn.shape
        with full_precision(theta_bcn):
            theta_bgv, phi_bgv = (self._vertices(at_least_float32(t)) for t in (theta_bcn, phi_bcn))
            valid_bgv = (
                None
                if mask_bn is None
                else self._vertices(mask_bn.unsqueeze(1).expand_as(theta_bcn).to(theta_bgv.dtype))
            )
            left = [theta_bgv**p * coefficient for p, coefficient in coefficients.items()]
            if scale_b11 is not None:
                left = [t * scale_b11 for t in left]
            right = [phi_bgv**p if valid_bgv is None else phi_bgv**p * valid_bgv for p in coefficients]
            self.left_bgpv = torch.stack([t if valid_bgv is None else t * valid_bgv for t in left], dim=2)
            self.right_bgpv = torch.stack(right, dim=2)

    def analyse(self, z_bdn: Tensor) -> Tensor:
        """Moments phi^p · z of each group: (B, Cs, N) -> (B, groups, P + 1, 1)."""
        with full_precision(z_bdn):
            return torch.matmul(self.right_bgpv, self._vertices(at_least_float32(z_bdn)).unsqueeze(-1))

    def mix(self, coefficients: Tensor) -> Tensor:
        """The coefficients of the series are in the left factor."""
        return coefficients

    def synthesise(self, coefficients: Tensor) -> Tensor:
        """sum_p moment_p theta^p: (B, groups, P + 1, 1) -> (B, Cs, N)."""
        with full_precision(coefficients):
            return torch.matmul(self.left_bgpv.mT, coefficients).reshape(self.shape)

    def rows(self, positions: Tensor) -> Tensor:
        """Rows of the vertices at ``positions`` (P,) in [0, c·N) -> (B, groups, P, c·N)."""
        return torch.matmul(self.left_bgpv[..., positions].mT, self.right_bgpv)

    def dense(self) -> Tensor:
        """(B, groups, c·N, c·N)."""
        return torch.matmul(self.left_bgpv.mT, self.right_bgpv)

    def spectrum(self) -> Tensor:
        """The P + 1 eigenvalues of each group that are not 0, largest magnitude first: (B, groups, P + 1)."""
        values = torch.linalg.eigvals(torch.matmul(self.right_bgpv.double(), self.left_bgpv.double().mT))
        return values.gather(-1, values.abs().argsort(-1, descending=True))

    def _vertices(self, x_bcn: Tensor) -> Tensor:
        """(B, Cs, N) -> (B, groups, c·N)."""
        batch, channels, positions = x_bcn.shape
        return x_bcn.reshape(batch, self.groups, channels // self.groups * positions)
