"""Efficient channel attention (ECA-Net, 1910.03151, equations 7 and 12).

    y = x · σ(w * m),   m = mean of x over all positions,   * a convolution of k channels along the channel axis

k is the odd number nearest to (log2(C) + 1) / 2, the smaller one of two: 5 for all stages of a ResNet-50, where a block
behind the last norm of every residual branch adds 80 parameters. (The authors' code rounds otherwise: give ``kernel``.)
"""

import math

from torch import Tensor, nn

from specvid.models.blocks.channel.base import ChannelBlock, mean_over
from specvid.models.blocks.options import check_kernel
from specvid.models.blocks.registry import register_block


@register_block("eca", kind="channel")
class EfficientChannelAttention(ChannelBlock):
    """A gate for each channel from the means of its neighbours.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: what is pooled over: ``st``, ``s`` or ``t``.
        kernel: k, odd; ``None`` takes it from C.
        identity: start as the identity; ``False`` is the paper's form.

    Raises:
        ValueError: the kernel is not a positive odd integer.
    """

    def __init__(
        self, channels: int, *, dims: int = 3, mode: str = "st", kernel: int | None = None, identity: bool = True
    ) -> None:
        super().__init__(channels, dims=dims, mode=mode, identity=identity)
        size = nearest_odd((math.log2(channels) + 1) / 2) if kernel is None else kernel
        check_kernel("eca", size)
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)
        if identity:
            nn.init.zeros_(self.conv.weight)

    def transform(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        logits_b1c: Tensor = self.conv(mean_over(x_bcn, mask_bn).mT)
        return x_bcn * self.gate(logits_b1c.mT).to(x_bcn.dtype)


def nearest_odd(number: float) -> int:
    """The odd integer that is nearest to a number, the smaller of two, and at least 1.

    Args:
        number: e.g. 5.5.

    Returns:
        e.g. 5.
    """
    return max(1, 2 * math.ceil((number - 1) / 2 - 0.5) + 1)
