"""What channel blocks have in common: gates, bottlenecks, pooling over valid positions."""

import torch
from torch import Tensor, nn

from specvid.models.blocks.graph_block import GraphBlock
from specvid.models.blocks.pointwise import Pointwise
from specvid.models.blocks.precision import at_least_float32, full_precision


class ChannelBlock(GraphBlock):
    """A block that rescales or shifts channels by what it sees of all positions of a graph.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: what is pooled over: ``st`` (the clip), ``s`` (each frame) or ``t`` (each place).
        identity: gates are 2σ rather than σ, so that the block can start as the identity.
    """

    def gate(self, logits: Tensor) -> Tensor:
        """The factor on features: 2σ, or σ with ``identity=False``.

        Args:
            logits: of any shape.

        Returns:
            Numbers of the same shape.
        """
        return logits.sigmoid() * 2 if self.identity else logits.sigmoid()


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
