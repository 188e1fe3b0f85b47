"""Convolutional block attention (CBAM, 1807.06521, equations 1 to 3): a gate for each channel, then for each position.

    x' = x · σ(F(mean of x) + F(max of x)),             mean and max over positions, F a bottleneck
    y = x' · σ(norm(w * [mean of x'; max of x'])),      mean and max over channels, * a convolution of k positions

The convolution has the dimensions of a graph: k x k x k for a clip, k x k for ``mode="s"``. On one frame it is that of
an image with the middle slice of its kernel, and that is where image weights go.
"""

import torch
from torch import Tensor, nn

from specvid.models.blocks.channel.base import Bottleneck, ChannelBlock, max_over, mean_over
from specvid.models.blocks.grid import graph_convolution
from specvid.models.blocks.norms import BatchNorm
from specvid.models.blocks.options import check_kernel, inner_width
from specvid.models.blocks.registry import register_block


@register_block("cbam", kind="channel")
class ConvolutionalAttention(ChannelBlock):
    """Channel attention, then spatial attention.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: what is pooled over, and what the convolution spans: ``st``, ``s`` or ``t``.
        reduction: C divided by the width of the bottleneck.
        inner: that width, instead of the reduction.
        bias: the bottleneck has biases.
        kernel: k, odd.
        identity: start as the identity; ``False`` is the paper's form.

    Raises:
        ValueError: the kernel is not a positive odd integer.
    """

    def __init__(
        self,
        channels: int,
        *,
        dims: int = 3,
        mode: str = "st",
        reduction: int = 16,
        inner: int | None = None,
        bias: bool = False,
        kernel: int = 7,
        identity: bool = True,
    ) -> None:
        super().__init__(channels, dims=dims, mode=mode, identity=identity)
        check_kernel("cbam", kernel)
        self.excite = Bottleneck(channels, inner_width("cbam", channels, reduction, inner), bias=bias, zero=identity)
        self.conv = graph_convolution(dims, mode)(2, 1, kernel, padding=kernel // 2, bias=False)
        self.norm = BatchNorm(1)
        if identity:
            nn.init.zeros_(self.norm.weight)

    def transform(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        logits_bc1 = self.excite(mean_over(x_bcn, mask_bn)) + self.excite(max_over(x_bcn, mask_bn))
        x_bcn = x_bcn * self.gate(logits_bc1).to(x_bcn.dtype)
        seen_b2n = torch.cat((x_bcn.mean(1, keepdim=True), x_bcn.amax(1, keepdim=True)), dim=1)
        if mask_bn is not None:
            seen_b2n = seen_b2n.masked_fill(~mask_bn.unsqueeze(1), 0)
        logits_b1n = self.conv(seen_b2n.unflatten(2, sizes)).flatten(2)
        return x_bcn * self.gate(self.norm(logits_b1n, mask_bn)).to(x_bcn.dtype)
