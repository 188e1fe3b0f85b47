"""Attention over sampled positions (DGMN2, 2209.09760): each position chooses the few others that it looks at.

    y_i = x_i + W concat_h( sum_k a_ik v(p_i + Δ_k + δ_ik) ),   δ_ik = D_k x_i
    a_ik = w_ik exp(s q_i . k(p_i + Δ_k + δ_ik)) / (their sum over k),   s = d^-1/2

Δ_k are the positions of a window (nine in an image, 27 in a video, three along one axis), δ_ik what the position moves
each of them by, along every axis. Between positions keys and values are interpolated linearly, over those that exist
and are valid; w_ik in [0, 1] is the weight that these have in the interpolation, so that a sample that moves out of the
features fades. D = 0 at the start: attention over the window.
"""

import torch
from torch import Tensor, nn

from specvid.models.blocks.grid import graph_axes
from specvid.models.blocks.long_range.base import LongRangeBlock
from specvid.models.blocks.options import check_heads, check_kernel, inner_width
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.precision import at_least_float32, full_precision
from specvid.models.blocks.registry import register_block

_TINY = 1e-6


@register_block("dgmn2", kind="long-range")
class SampledAttention(LongRangeBlock):
    """Multi-head attention over a window whose positions are moved by what is seen; memory grows with N.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: the axes of the window: ``st``, ``s`` or ``t``.
        reduction: C divided by the channels of q, k and v, each in all heads together.
        inner: those channels, instead of the reduction.
        heads: how many; they divide the inner channels, and each moves the window for itself.
        kernel: positions of the window along each axis, odd.
        bias: W has a bias.
        project: there is a W.
        residual: x is added.
        identity: W starts at 0.

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
        heads: int = 4,
        kernel: int = 3,
        bias: bool = False,
        project: bool = True,
        residual: bool = True,
        identity: bool = True,
    ) -> None:
        inner = inner_width("dgmn2", channels, reduction, inner)
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
        check_heads("dgmn2", heads, inner)
        check_kernel("dgmn2", kernel)
        self.heads, self.kernel = heads, kernel
        self.qkv = Pointwise(channels, 3 * inner)
        axes = graph_axes(dims, mode)
        shape = (heads, channels, *(kernel for _ in axes))
        self.offsets = nn.ParameterDict({axis: nn.Parameter(torch.zeros(shape)) for axis in axes})  # D, by axis

    def branch(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """(B, C, N) -> (B, inner, N)."""
        q, k, v = self.qkv(x_bcn).unflatten(1, (3, self.heads, -1)).movedim(-1, -2).unbind(1)  # (B, heads, N, d)
        seen_bn = torch.ones_like(x_bcn[:, 0], dtype=torch.bool) if mask_bn is None else mask_bn
        with full_precision(x_bcn):
            places = self._places(at_least_float32(x_bcn), sizes)
            kv, weight = sample(at_least_float32(torch.cat((k, v), dim=-1)), places, sizes, seen_bn)
            keys, values = kv.chunk(2, dim=-1)  # (B, heads, N, K, d)
            scores = (at_least_float32(q).unsqueeze(-2) * keys).sum(-1) * q.shape[-1] ** -0.5
            scores = scores.masked_fill(weight == 0, torch.finfo(scores.dtype).min)
            share = weight * (scores - scores.amax(-1, keepdim=True).detach()).exp()
            share = share / share.sum(-1, keepdim=True).clamp_min(_TINY)
            y_bhnd = (share.unsqueeze(-1) * values).sum(-2)
        return y_bhnd.movedim(-1, -2).flatten(1, 2).to(x_bcn.dtype)

    def _places(self, x_bcn: Tensor, sizes: tuple[int, ...]) -> list[Tensor]:
        """Along each axis (B, heads, N, K): where samples lie, in positions from 0."""
        reach = torch.arange(self.kernel, device=x_bcn.device) - self.kernel // 2
        window = torch.meshgrid(*(reach for _ in sizes), indexing="ij")
        grid = torch.meshgrid(*(torch.arange(size, device=x_bcn.device) for size in sizes), indexing="ij")
        places = []
        for table, step, own in zip(self.offsets.values(), window, grid, strict=True):
            move = torch.einsum("hck,bcn->bhnk", table.flatten(2).to(x_bcn.dtype), x_bcn)
            places.append(own.reshape(-1, 1) + step.reshape(-1) + move)
        return places


def sample(x: Tensor, places: list[Tensor], sizes: tuple[int, ...], seen_bn: Tensor) -> tuple[Tensor, Tensor]:
    """Features between positions: linear interpolation over those that exist and are valid.

    Args:
        x: (B, heads, N, d).
        places: along each axis (B, heads, N, K).
        sizes: of the axes, with product N.
        seen_bn: (B, N) bool, True where a position is valid.

    Returns:
        (B, heads, N, K, d), and the weight (B, heads, N, K) of the valid positions in each, in [0, 1].
    """
    weight = torch.ones_like(places[0]).unsqueeze(-1)
    index = torch.zeros_like(weight, dtype=torch.long)
    for place, size in zip(places, sizes, strict=True):  # the corners around a place: two along each axis
        at = torch.stack((place.floor(), place.floor() + 1), dim=-1)
        near = (1 - (place.unsqueeze(-1) - at).abs()) * ((at >= 0) & (at < size))
        weight = (weight.unsqueeze(-1) * near.unsqueeze(-2)).flatten(-2)
        index = (index.unsqueeze(-1) * size + at.clamp(0, size - 1).long().unsqueeze(-2)).flatten(-2)
    flat = index.flatten(2)  # (B, heads, N·K·corners)
    weight = weight * seen_bn.unsqueeze(1).expand(-1, x.shape[1], -1).gather(-1, flat).reshape(index.shape)
    corners = x.gather(2, flat.unsqueeze(-1).expand(-1, -1, -1, x.shape[-1])).reshape(*index.shape, x.shape[-1])
    share = weight.sum(-1)
    return (weight.unsqueeze(-1) * corners).sum(-2) / share.clamp_min(_TINY).unsqueeze(-1), share
