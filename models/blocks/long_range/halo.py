"""Blocked local attention with halos (HaloNet, 2103.12731, section 2.2).

    y = x + W concat_h( sum_j softmax_j( d^-1/2 q_i . k_j + q_i . (r_t + r_h + r_w)(j - i) ) v_j )

The features are cut into blocks of b positions per axis; j runs over the block of i and h positions around it. With
``padding="masked"`` only positions that exist are seen; ``"zeros"`` is the authors' form, in which those beyond the
border take part with k = v = 0.
"""

from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.errors import unknown
from specvid.models.blocks.grid import graph_axes
from specvid.models.blocks.long_range.base import LongRangeBlock, position_scores
from specvid.models.blocks.options import check_heads, check_integer, inner_width
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.registry import register_block

PADDINGS = ("masked", "zeros")


@register_block("halo", kind="long-range")
class HaloAttention(LongRangeBlock):
    """Multi-head attention within overlapping windows; memory grows with N.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: which positions see each other: ``st``, ``s`` or ``t``.
        reduction: C divided by the channels of q, k and v, each in all heads together.
        inner: those channels, instead of the reduction.
        heads: how many; they divide the inner channels.
        block: b, positions of a block along each axis.
        halo: h, positions that are seen around it, on each side.
        padding: ``masked`` or ``zeros``.
        bias: W has a bias.
        project: there is a W.
        residual: x is added.
        identity: W starts at 0.

    Raises:
        ValueError: options that are unknown or do not go together.
    """

    def __init__(
        self,
        channels: int,
        *,
        dims: int = 3,
        mode: str = "st",
        reduction: int = 2,
        inner: int | None = None,
        heads: int = 4,
        block: int = 4,
        halo: int = 2,
        padding: str = "masked",
        bias: bool = False,
        project: bool = True,
        residual: bool = True,
        identity: bool = True,
    ) -> None:
        inner = inner_width("halo", channels, reduction, inner)
        super().__init__(
            channels,
            dims=dims,
            mode=mode,
            width=inner,
            bias=bias,
            project=project,
            residual=residual,
            identity=identity,
        )
        if padding not in PADDINGS:
            raise unknown("padding", padding, PADDINGS)
        check_heads("halo", heads, inner)
        check_integer("halo", "block", block)
        check_integer("halo", "halo", halo, least=0)
        self.heads, self.block, self.halo, self.padding = heads, block, halo, padding
        self.q = Pointwise(channels, inner)
        self.kv = Pointwise(channels, 2 * inner)  # of each head first k, then v
        depth = inner // heads
        self.axes = graph_axes(dims, mode)
        self.tables = nn.ParameterDict(
            {axis: nn.Parameter(torch.randn(2 * self.window - 1, depth) * depth**-0.5) for axis in self.axes}
        )

    @property
    def window(self) -> int:
        """Positions that a block sees along each axis."""
        return self.block + 2 * self.halo

    def branch(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """(B, C, N) -> (B, inner, N)."""
        seen_bn = torch.ones_like(x_bcn[:, 0], dtype=torch.bool) if mask_bn is None else mask_bn
        kv = self.kv(x_bcn).masked_fill(~seen_bn.unsqueeze(1), 0).unflatten(1, (self.heads, -1)).unflatten(-1, sizes)
        k, v = self._windows(kv).chunk(2, dim=-1)  # (B, heads, blocks, keys, d)
        q = self._blocks(self.q(x_bcn).unflatten(1, (self.heads, -1)).unflatten(-1, sizes))
        scores = q.flatten(3, -2) * q.shape[-1] ** -0.5 @ k.mT
        scores = scores + position_scores(q, [self._distances(axis).to(q.dtype) for axis in self.axes])
        if self.padding == "masked":
            seen = self._windows(seen_bn.unflatten(1, sizes)[:, None, None].to(x_bcn.dtype)).squeeze(-1) > 0
            scores = scores.masked_fill(~seen.unsqueeze(3), torch.finfo(scores.dtype).min)
        y = scores.softmax(-1).to(v.dtype) @ v
        return self._together(y, sizes).flatten(1, 2)

    def _blocks(self, x: Tensor) -> Tensor:
        """(B, heads, d, *sizes) -> (B, heads, blocks, *(b along each axis), d)."""
        axes, lead = x.dim() - 3, 3
        x = F.pad(x, [n for size in reversed(x.shape[lead:]) for n in (0, -size % self.block)])
        for axis in range(axes):
            x = x.unfold(lead + axis, self.block, self.block)
        return x.flatten(lead, lead + axes - 1).movedim(2, -1)

    def _windows(self, x: Tensor) -> Tensor:
        """(B, heads, d, *sizes) -> (B, heads, blocks, keys, d), zeros beyond the borders."""
        axes, lead = x.dim() - 3, 3
        x = F.pad(x, [n for size in reversed(x.shape[lead:]) for n in (self.halo, self.halo + -size % self.block)])
        for axis in range(axes):
            x = x.unfold(lead + axis, self.window, self.block)
        return x.flatten(lead, lead + axes - 1).flatten(lead + 1).movedim(2, -1)

    def _together(self, y: Tensor, sizes: tuple[int, ...]) -> Tensor:
        """(B, heads, blocks, b^axes, d) -> (B, heads, d, N): the inverse of `_blocks`."""
        axes = len(sizes)
        counts = [-(-size // self.block) for size in sizes]
        y = y.movedim(-1, 2).unflatten(3, counts).unflatten(-1, [self.block] * axes)
        order = [n for axis in range(axes) for n in (3 + axis, 3 + axes + axis)]
        y = y.permute(0, 1, 2, *order)
        for axis in range(axes):
            y = y.flatten(3 + axis, 4 + axis).narrow(3 + axis, 0, sizes[axis])
        return y.reshape(*y.shape[:3], prod(sizes))

    def _distances(self, axis: str) -> Tensor:
        """(b, window, d): the vector of the distance from a query of a block to a key of its window."""
        table = self.tables[axis]
        key, query = torch.arange(self.window, device=table.device), torch.arange(self.block, device=table.device)
        return table[key - query[:, None] + self.window - 1]
