"""Global context (GCNet, 1904.11492, section 3.3): a nonlocal block whose attention is the same for all queries.

    y = x · σ(M(c)) + A(c),   c = sum_j a_j x_j,   a = softmax over positions of w . x_j     x, y (B, C, N), c (B, C, 1)

M and A are bottlenecks W_2 relu(layer_norm(W_1 c + b_1)) + b_2. The paper adds (``fusion="add"``), without M. With
``pooling="mean"`` a_j = 1 / N. W_2 and b_2 start at 0, in the paper's form too, so that adding starts as the identity.
"""

import torch
from torch import Tensor

from specvid.errors import unknown
from specvid.models.blocks.channel.base import Bottleneck, ChannelBlock, mean_over
from specvid.models.blocks.options import inner_width
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.precision import at_least_float32, full_precision
from specvid.models.blocks.registry import register_block

FUSIONS = ("add", "mul", "add+mul")
POOLINGS = ("attention", "mean")


@register_block("gc", kind="channel")
class GlobalContext(ChannelBlock):
    """One context for all positions, added to each.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: what is pooled over: ``st``, ``s`` or ``t``.
        reduction: C divided by the width of the bottlenecks.
        inner: that width, instead of the reduction.
        pooling: ``attention`` or ``mean``.
        fusion: ``add``, ``mul`` or ``add+mul``.
        identity: start as the identity; ``False`` is the paper's form, which differs for ``mul`` alone.

    Raises:
        ValueError: pooling or fusion is unknown.
    """

    def __init__(
        self,
        channels: int,
        *,
        dims: int = 3,
        mode: str = "st",
        reduction: int = 16,
        inner: int | None = None,
        pooling: str = "attention",
        fusion: str = "add",
        identity: bool = True,
    ) -> None:
        super().__init__(channels, dims=dims, mode=mode, identity=identity)
        if fusion not in FUSIONS:
            raise unknown("fusion", fusion, FUSIONS)
        if pooling not in POOLINGS:
            raise unknown("pooling", pooling, POOLINGS)
        width = inner_width("gc", channels, reduction, inner)
        # A bias would shift all scores alike, which a softmax does not see.
        self.attention = Pointwise(channels, 1) if pooling == "attention" else None
        self.add = Bottleneck(channels, width, bias=True, norm=True, zero=True) if "add" in fusion else None
        self.mul = Bottleneck(channels, width, bias=True, norm=True, zero=True) if "mul" in fusion else None

    def transform(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        context_bc1 = self._context(x_bcn, mask_bn)
        y_bcn = x_bcn
        if self.mul is not None:
            y_bcn = y_bcn * self.gate(self.mul(context_bc1)).to(x_bcn.dtype)
        if self.add is not None:
            y_bcn = y_bcn + self.add(context_bc1).to(x_bcn.dtype)
        return y_bcn

    def _context(self, x_bcn: Tensor, mask_bn: Tensor | None) -> Tensor:
        """The mean of features (B, C, 1), weighted by attention where there is one."""
        if self.attention is None:
            return mean_over(x_bcn, mask_bn)
        scores_b1n = self.attention(x_bcn)
        with full_precision(x_bcn):
            scores_b1n = at_least_float32(scores_b1n)
            if mask_bn is not None:
                scores_b1n = scores_b1n.masked_fill(~mask_bn.unsqueeze(1), torch.finfo(scores_b1n.dtype).min)
            weights_bn1 = scores_b1n.softmax(-1).mT
            seen_bcn = x_bcn if mask_bn is None else x_bcn.masked_fill(~mask_bn.unsqueeze(1), 0)
            return torch.bmm(at_least_float32(seen_bcn), weights_bn1).to(x_bcn.dtype)
