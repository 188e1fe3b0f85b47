"""Squeeze-and-excitation (SENet, 1709.01507, equations 2 and 3).

    y = x · σ(W_2 relu(W_1 m + b_1) + b_2),   m = mean of x over all positions          x, y (B, C, N), W_1 (S x C)

SENet has it behind the last norm of every residual branch (``layer1.0.bn3.end``): with S = C / 16 it adds 2,514,944
parameters to a ResNet-50.
"""

from torch import Tensor

from specvid.models.blocks.channel.base import Bottleneck, ChannelBlock, mean_over
from specvid.models.blocks.options import inner_width
from specvid.models.blocks.registry import register_block


@register_block("se", kind="channel")
class SqueezeExcitation(ChannelBlock):
    """A gate for each channel from the means of all channels.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: what is pooled over: ``st``, ``s`` or ``t``.
        reduction: C / S.
        inner: S, instead of the reduction.
        bias: both 1x1 convolutions have a bias.
        identity: start as the identity; ``False`` is the paper's form.
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
        identity: bool = True,
    ) -> None:
        super().__init__(channels, dims=dims, mode=mode, identity=identity)
        self.excite = Bottleneck(channels, inner_width("se", channels, reduction, inner), bias=bias, zero=identity)

    def transform(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        return x_bcn * self.gate(self.excite(mean_over(x_bcn, mask_bn))).to(x_bcn.dtype)
