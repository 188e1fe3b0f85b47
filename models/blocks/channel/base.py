"""What channel blocks have in common: graphs of positions, masks, gates, pooling over valid positions."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from specvid.models.blocks.grid import Grid, check_features, check_mode, flat_mask
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.precision import at_least_float32, full_precision


class ChannelBlock(nn.Module, ABC):
    """A block on (B, C, *dims) features that looks at all positions of a graph at once.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: what is pooled over: ``st`` (the clip), ``s`` (each frame) or ``t`` (each place).
        identity: gates are 2σ rather than σ, so that the block can start as the identity.

    Raises:
        ValueError: the mode does not fit the dims.
    """

    def __init__(self, channels: int, *, dims: int, mode: str, identity: bool) -> None:
        super().__init__()
        check_mode(mode, dims)
        if mode == "t+s":
            raise ValueError("mode='t+s' goes with nonlocal blocks: insert a block of mode='t' and one of mode='s'.")
        self.channels = channels
        self.dims = dims
        self.mode = mode
        self.identity = identity

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Run the block.

        Args:
            x: features (B, C, *dims).
            mask: (B, T) or (B, *dims) bool, True where a position is valid. The others have no influence, and
                pass through unchanged.

        Returns:
            (B, C, *dims).

        Raises:
            ValueError: the number of dimensions or channels is not the block's, or the mask does not fit.
        """
        check_features(x, self.channels, self.dims)
        grid = Grid(tuple(x.shape[2:]), self.mode)
        x_bcn, mask_bn = x.flatten(2), flat_mask(mask, x)
        folded_mask = None if mask_bn is None else grid.fold(mask_bn.unsqueeze(1)).squeeze(1)
        y_bcn = self.transform(grid.fold(x_bcn), grid.graph_sizes, folded_mask)
        y_bcn = grid.unfold(y_bcn, x.shape[0])
        if mask_bn is not None:
            y_bcn = torch.where(mask_bn.unsqueeze(1), y_bcn, x_bcn)
        return y_bcn.reshape(x.shape)

    @abstractmethod
    def transform(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """What the block computes on each graph.

        Args:
            x_bcn: features (B, C, N), one batch entry per graph.
            sizes: (T, H, W), (H, W) or (T,), with product N.
            mask_bn: (B, N) bool, True where a position is valid.

        Returns:
            (B, C, N), anything outside the mask.
        """

    def gate(self, logits: Tensor) -> Tensor:
        """The factor on features: 2σ, or σ with ``identity=False``.

        Args:
            logits: of any shape.

        Returns:
            Numbers of the same shape.
        """
        return logits.sigmoid() * 2 if self.identity else logits.sigmoid()

    def extra_repr(self) -> str:
        """Shape of the block, for ``repr``."""
        return f"channels={self.channels}, dims={self.dims}, mode={self.mode!r}, identity={self.identity}"


class Bottleneck(nn.Module):
    """Two 1x1 convolutions with a ReLU between them: W_2 relu(norm(W_1 x + b_1)) + b_2.

    Args:
        channels: C of input and output.
        inner: width between the two.
        bias: both have a bias.
        norm: normalise the inner width of each position (layer norm), as GCNet does.
        zero: the second starts at 0.
    """

    def __init__(self, channels: int, inner: int, *, bias: bool, norm: bool = False, zero: bool = False) -> None:
        super().__init__()
        self.reduce = Pointwise(channels, inner, bias=bias)
        self.norm = nn.LayerNorm(inner) if norm else None
        self.expand = Pointwise(inner, channels, bias=bias)
        if zero:
            for parameter in self.expand.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x_bcn: Tensor) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        y_bcn = self.reduce(x_bcn)
        if self.norm is not None:
            y_bcn = self.norm(y_bcn.mT).mT
        return self.expand(y_bcn.relu())


def inner_width(name: str, channels: int, reduction: int, inner: int | None) -> int:
    """The width of a bottleneck.

    Args:
        name: that of the block, for messages.
        channels: C.
        reduction: C divided by the width, which is at least 1.
        inner: the width itself; ``None`` takes the reduction.

    Returns:
        The width.

    Raises:
        ValueError: ``inner`` is no integer from 1 up.
    """
    if inner is None:
        return max(1, channels // reduction)
    if isinstance(inner, bool) or not isinstance(inner, int) or inner < 1:
        raise ValueError(f"inner={inner!r} of block {name!r} is not possible: it is an integer from 1 up.")
    return inner


def mean_over(x_bcn: Tensor, mask_bn: Tensor | None) -> Tensor:
    """The mean over valid positions, summed in float32 at least.

    Args:
        x_bcn: features (B, C, N).
        mask_bn: (B, N) bool, or ``None``.

    Returns:
        (B, C, 1), 0 where no position is valid.
    """
    with full_precision(x_bcn):
        wide_bcn = at_least_float32(x_bcn)
        if mask_bn is None:
            return wide_bcn.mean(-1, keepdim=True).to(x_bcn.dtype)
        count_b11 = mask_bn.sum(-1).clamp_min(1)[:, None, None]
        return (wide_bcn.masked_fill(~mask_bn.unsqueeze(1), 0).sum(-1, keepdim=True) / count_b11).to(x_bcn.dtype)


def max_over(x_bcn: Tensor, mask_bn: Tensor | None) -> Tensor:
    """The largest value at valid positions.

    Args:
        x_bcn: features (B, C, N).
        mask_bn: (B, N) bool, or ``None``.

    Returns:
        (B, C, 1), 0 where no position is valid.
    """
    if mask_bn is None:
        return x_bcn.amax(-1, keepdim=True)
    largest = x_bcn.masked_fill(~mask_bn.unsqueeze(1), torch.finfo(x_bcn.dtype).min).amax(-1, keepdim=True)
    return largest.masked_fill(~mask_bn.any(-1)[:, None, None], 0)
