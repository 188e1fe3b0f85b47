"""Blocked local attention with halos (HaloNet, 2103.12731, section 2.2).

    y = x + W concat_h( sum_j softmax_j( d^-1/2 q_i . k_j + q_i . (r_t + r_h + r_w)(j - i) ) v_j )

The features are cut into blocks of b positions per axis; j runs over the block of i and h positions around it. With
``padding="masked"`` only positions that exist are seen; ``"zeros"`` is the authors' form, in which those beyond the
border take part with k = v = 0.
"""

from math import prod

import torch
from torch import Tensor, nn

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
        batch, block, window = x_bcn.shape[0], self.block ** len(sizes), self.window ** len(sizes)
        seen_from, inside = self._windows(sizes, self.halo, x_bcn.device)
        asked_from, _ = self._windows(sizes, 0, x_bcn.device)
        seen_bm = inside.expand(batch, -1) if mask_bn is None else mask_bn[:, seen_from] & inside
        seen = seen_bm[:, None].expand(-1, self.heads, -1).flatten().view(-1, window, 1)
        kv = self._take(self._rows(self.kv(x_bcn)), prod(sizes), seen_from).unflatten(0, (-1, window))
        k, v = kv.masked_fill(~seen, 0).chunk(2, dim=-1)  # (B * heads * blocks, window, d)
        q = self._take(self._rows(self.q(x_bcn)), prod(sizes), asked_from).unflatten(0, (-1, block))
        scores = q * q.shape[-1] ** -0.5 @ k.mT
        q = q.unflatten(1, [self.block] * len(sizes))
        scores = scores + position_scores(q, [self._distances(axis).to(q.dtype) for axis in self.axes])
        if self.padding == "masked":
            scores = scores.masked_fill(~seen.mT, torch.finfo(scores.dtype).min)
        y = scores.softmax(-1).to(v.dtype) @ v
        y = self._take(y.flatten(0, 1), asked_from.shape[0], self._queries(sizes, x_bcn.device))
        return y.view(batch, self.heads, prod(sizes), y.shape[-1]).mT.flatten(1, 2)

    def _rows(self, x_bcn: Tensor) -> Tensor:
        """(B, heads * d, N) -> (B * heads * N, d)."""
        return x_bcn.unflatten(1, (self.heads, -1)).mT.flatten(0, 2)

    # Blocks are gathered by numbers, not padded and unfolded: what is exported then holds for features of one block and
    # of many.
    def _take(self, rows: Tensor, step: int, places: Tensor) -> Tensor:
        """(B * heads * step, d) -> (B * heads * places, d): of each head the rows at these places of its own."""
        first = torch.arange(rows.shape[0] // step, device=rows.device) * step
        return rows[(first[:, None] + places).flatten()]

    def _windows(self, sizes: tuple[int, ...], reach: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """What blocks see that reach beyond themselves, one block after the other.

        Returns:
            The position of each place, the nearest one beyond a border, (blocks * places of a block,); and whether
            there is one.
        """
        width = self.block + 2 * reach
        counts = [(size + self.block - 1) // self.block for size in sizes]
        place = torch.arange(prod(counts) * width ** len(sizes), device=device)
        block, place = place // width ** len(sizes), place % width ** len(sizes)
        position, inside, step = torch.zeros_like(place), torch.ones_like(place, dtype=torch.bool), 1
        for size, count in zip(reversed(sizes), reversed(counts), strict=True):
            others = block // count
            at = (block - others * count) * self.block + place % width - reach
            inside = inside & (at >= 0) & (at < size)
            position = position + at.clamp(0, size - 1) * step
            block, place, step = others, place // width, step * size
        return position, inside

    def _queries(self, sizes: tuple[int, ...], device: torch.device) -> Tensor:
        """Of each position: its place in all blocks, one block after the other."""
        rest = torch.arange(prod(sizes), device=device)
        block, place, blocks, places = torch.zeros_like(rest), torch.zeros_like(rest), 1, 1
        for size in reversed(sizes):
            others = rest // size  # and no remainder: ONNX has none of a size that varies
            at = rest - others * size
            block, place = block + at // self.block * blocks, place + at % self.block * places
            rest, blocks, places = others, blocks * ((size + self.block - 1) // self.block), places * self.block
        return block * places + place

    def _distances(self, axis: str) -> Tensor:
        """(b, window, d): the vector of the distance from a query of a block to a key of its window."""
        table = self.tables[axis]
        key, query = torch.arange(self.window, device=table.device), torch.arange(self.block, device=table.device)
        return table[key - query[:, None] + self.window - 1]
