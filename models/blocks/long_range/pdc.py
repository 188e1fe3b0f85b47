"""A second-order term beside a residual branch (PDC, 2104.07916, section 3.2): products of two local branches.

    y = x + alpha · φ(instance_norm(L * (u_1 ⊙ u_2))),   u_k = φ(norm_k(U_k * norm_x(x))),   φ: leaky ReLU

* are convolutions of k positions per axis. alpha starts at 0, as the authors have it. ``first_order=True`` is their
whole block: relu(relu(norm(V * x)) + y), which cannot start as the identity.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.models.blocks.graph_block import GraphBlock
from specvid.models.blocks.grid import graph_convolution
from specvid.models.blocks.norms import BatchNorm
from specvid.models.blocks.options import check_kernel, inner_width
from specvid.models.blocks.precision import at_least_float32, full_precision
from specvid.models.blocks.registry import register_block

_EPS = 1e-5


@register_block("pdc", kind="long-range")
class SecondOrder(GraphBlock):
    """Products of features with what lies around them.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: the axes of the convolutions and of the instance norm: ``st``, ``s`` or ``t``.
        reduction: C divided by the channels of u.
        inner: those channels, instead of the reduction.
        kernel: k, odd.
        first_order: with the branch of first order, and a ReLU behind the sum.
        identity: alpha starts at 0; else at 1.

    Raises:
        ValueError: options that are not possible, or do not go together.
    """

    def __init__(
        self,
        channels: int,
        *,
        dims: int = 3,
        mode: str = "st",
        reduction: int = 2,
        inner: int | None = None,
        kernel: int = 3,
        first_order: bool = False,
        identity: bool = True,
    ) -> None:
        super().__init__(channels, dims=dims, mode=mode, identity=identity)
        check_kernel("pdc", kernel)
        if identity and first_order:
            raise ValueError("first_order=True of block 'pdc' cannot start as the identity; give identity=False.")
        width = inner_width("pdc", channels, reduction, inner)

        def convolution(narrow: int, wide: int) -> nn.Module:
            return graph_convolution(dims, mode)(narrow, wide, kernel, padding=kernel // 2, bias=False)

        self.norm = BatchNorm(channels)
        self.u = nn.ModuleList(convolution(channels, width) for _ in range(2))
        self.u_norm = nn.ModuleList(BatchNorm(width) for _ in range(2))
        self.join = convolution(width, channels)
        self.alpha = nn.Parameter(torch.full((1,), 0.0 if identity else 1.0))
        self.v = convolution(channels, channels) if first_order else None
        self.v_norm = BatchNorm(channels) if first_order else None

    def transform(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """(B, C, N) -> (B, C, N)."""

        def convolve(layer: nn.Module, features_bcn: Tensor) -> Tensor:
            y: Tensor = layer(features_bcn.unflatten(2, sizes))
            return y.flatten(2)

        seen_bcn = self.norm(x_bcn, mask_bn)  # 0 outside the mask, as beyond the border
        branches = zip(self.u, self.u_norm, strict=True)
        first, second = (F.leaky_relu(norm(convolve(layer, seen_bcn), mask_bn)) for layer, norm in branches)
        joined_bcn = instance_norm(convolve(self.join, first * second), mask_bn)
        y_bcn = x_bcn + self.alpha * F.leaky_relu(joined_bcn)
        if self.v is None or self.v_norm is None:
            return y_bcn.to(x_bcn.dtype)
        inside_bcn = x_bcn if mask_bn is None else x_bcn.masked_fill(~mask_bn.unsqueeze(1), 0)
        return (y_bcn + self.v_norm(convolve(self.v, inside_bcn), mask_bn).relu()).relu().to(x_bcn.dtype)


def instance_norm(x_bcn: Tensor, mask_bn: Tensor | None) -> Tensor:
    """Each channel of each sample to mean 0 and variance 1 over the valid positions, without parameters.

    Args:
        x_bcn: features (B, C, N).
        mask_bn: (B, N) bool, or ``None``.

    Returns:
        (B, C, N), 0 outside the mask.
    """
    with full_precision(x_bcn):
        wide_bcn = at_least_float32(x_bcn)
        weight_b1n = torch.ones_like(wide_bcn[:, :1]) if mask_bn is None else mask_bn.unsqueeze(1).to(wide_bcn.dtype)
        count_b11 = weight_b1n.sum(-1, keepdim=True).clamp_min(1)
        wide_bcn = wide_bcn if mask_bn is None else wide_bcn.masked_fill(~mask_bn.unsqueeze(1), 0)
        centred_bcn = (wide_bcn - wide_bcn.sum(-1, keepdim=True) / count_b11) * weight_b1n
        variance_bc1 = centred_bcn.square().sum(-1, keepdim=True) / count_b11
        return (centred_bcn * (variance_bc1 + _EPS).rsqrt()).to(x_bcn.dtype)
