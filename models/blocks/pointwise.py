"""The 1x1 convolution of every block: one matrix product on flattened positions.

    y = W x + b        x (B, C, N) -> y (B, D, N),  W (D, C / groups, 1)

A kernel of one position needs no convolution algorithm: the product is as fast as the best one and, unlike it, serves
1D, 2D and 3D inputs with one weight, so that a block trained on images loads into the same block for video.
"""

import torch
from torch import Tensor, nn


class Pointwise(nn.Conv1d):
    """``nn.Conv1d`` with kernel 1, run as a batched matrix product.

    Args:
        in_channels: C.
        out_channels: D.
        bias: add one number per output channel.
        groups: channels are mixed within groups only.
    """

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = False, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, 1, bias=bias, groups=groups)

    def forward(self, x_bcn: Tensor, *, token_major: bool = False) -> Tensor:
        """(B, C, N) -> (B, D, N); ``token_major`` lays the result out in memory as (B, N, D), which attention kernels
        want."""
        if self.groups > 1:
            return super().forward(x_bcn)
        return pointwise(x_bcn, self.weight, self.bias, token_major=token_major)


def pointwise(x_bcn: Tensor, weight_dc1: Tensor, bias_d: Tensor | None = None, *, token_major: bool = False) -> Tensor:
    """``W x + b`` on (B, C, N) with W (D, C, 1) -> (B, D, N)."""
    weight_bdc = weight_dc1.squeeze(-1).expand(x_bcn.shape[0], -1, -1)
    if token_major:
        y_bdn = torch.bmm(x_bcn.mT, weight_bdc.mT).mT
    else:
        y_bdn = torch.bmm(weight_bdc, x_bcn)
    return y_bdn if bias_d is None else y_bdn + bias_d[:, None]
