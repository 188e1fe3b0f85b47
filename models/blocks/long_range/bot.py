"""Attention of several heads with relative positions (BoTNet, 2101.11605, figure 4).

    y = x + W concat_h( sum_j softmax_j( s q_i . k_j + s q_i . (r_t + r_h + r_w)(j - i) ) v_j ),   s = d^-1/2

q, k, v are 1x1 convolutions of x, d their channels in each head; r are learned vectors for distances along time, height
and width, shared by the heads. Distances beyond the tables count as the largest one there is. ``position="absolute"``
adds vectors of the place of j to k_j instead.
"""

import torch
from torch import Tensor, nn

from specvid.errors import unknown
from specvid.models.blocks.grid import graph_axes
from specvid.models.blocks.long_range.base import LongRangeBlock, position_scores
from specvid.models.blocks.options import check_heads, check_integer, inner_width
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.registry import register_block

POSITIONS = ("relative", "absolute", "none")


@register_block("bot", kind="long-range")
class PositionAttention(LongRangeBlock):
    """Multi-head attention over all positions; memory grows with N².

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: which positions see each other: ``st``, ``s`` or ``t``.
        reduction: C divided by the channels of q, k and v together in all heads.
        inner: those channels, instead of the reduction.
        heads: how many; they divide the inner channels.
        position: ``relative``, ``absolute`` or ``none``.
        frames: length that the table of time is made for.
        height: likewise, of height.
        width: likewise, of width.
        bias: q, k, v and W have biases.
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
        position: str = "relative",
        frames: int = 32,
        height: int = 32,
        width: int = 32,
        bias: bool = False,
        project: bool = True,
        residual: bool = True,
        identity: bool = True,
    ) -> None:
        inner = inner_width("bot", channels, reduction, inner)
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
        if position not in POSITIONS:
            raise unknown("position", position, POSITIONS)
        check_heads("bot", heads, inner)
        self.heads, self.position = heads, position
        self.qkv = Pointwise(channels, 3 * inner, bias=bias)
        depth = inner // heads
        lengths = {"frames": frames, "height": height, "width": width}
        for option, length in lengths.items():
            check_integer("bot", option, length)
        self.axes = () if position == "none" else graph_axes(dims, mode)
        rows = {axis: 2 * lengths[axis] - 1 if position == "relative" else lengths[axis] for axis in self.axes}
        self.tables = nn.ParameterDict(
            {axis: nn.Parameter(torch.randn(rows[axis], depth) * depth**-0.5) for axis in self.axes}
        )

    def branch(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """(B, C, N) -> (B, inner, N)."""
        heads = self.qkv(x_bcn).unflatten(1, (3, self.heads, -1)).movedim(-1, -2)  # (B, 3, heads, N, d)
        q, k, v = heads.unbind(1)
        q = q * q.shape[-1] ** -0.5
        if self.position == "absolute":
            k = k + self._places(sizes).to(k.dtype)
        scores_bhnn = q @ k.mT
        if self.position == "relative":
            tables = [self._distances(axis, length) for axis, length in zip(self.axes, sizes, strict=True)]
            scores_bhnn = scores_bhnn + position_scores(q.unflatten(2, sizes), [t.to(q.dtype) for t in tables])
        if mask_bn is not None:
            scores_bhnn = scores_bhnn.masked_fill(~mask_bn[:, None, None], torch.finfo(scores_bhnn.dtype).min)
            v = v.masked_fill(~mask_bn[:, None, :, None], 0)
        y_bhnd = scores_bhnn.softmax(-1).to(v.dtype) @ v
        return y_bhnd.movedim(-1, -2).flatten(1, 2)

    def _distances(self, axis: str, length: int) -> Tensor:
        """(length, length, d): the vector of the distance from query to key."""
        table = self.tables[axis]
        most = table.shape[0] // 2
        places = torch.arange(length, device=table.device)
        return table[(places - places[:, None]).clamp(-most, most) + most]

    def _places(self, sizes: tuple[int, ...]) -> Tensor:
        """(N, d): the sum of the vectors of a place along the axes."""
        total: Tensor | None = None
        for number, (axis, length) in enumerate(zip(self.axes, sizes, strict=True)):
            table = self.tables[axis]
            own = table[torch.arange(length, device=table.device).clamp_max(table.shape[0] - 1)]
            own = own.reshape(*(length if i == number else 1 for i in range(len(sizes))), -1)
            total = own if total is None else total + own
        assert total is not None
        return total.flatten(0, -2)
