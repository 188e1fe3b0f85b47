"""The 1x1 convolution of every block: one matrix product on flattened positions.

    y = W x + b        x (B, C, N) -> y (B, D, N),  W (D, C / groups, 1)

A kernel of one position needs no convolution algorithm: the product is as fast as the best one and, unlike it, serves
1D, 2D and 3D inputs with one weight, so that a block trained on images loads into the same block for video.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
        """Apply the convolution: see :func:`pointwise`.

        Args:
            x_bcn: (B, C, N).
            token_major: pack the result in memory as (B, N, D), which attention kernels want.

        Returns:
            (B, D, N).
        """
        if self.groups > 1:
            return super().forward(x_bcn)
        return pointwise(x_bcn, self.weight, self.bias, token_major=token_major)


def pointwise(x_bcn: Tensor, weight_dc1: Tensor, bias_d: Tensor | None = None, *, token_major: bool = False) -> Tensor:
    """The 1x1 convolution W x + b.

    Args:
        x_bcn: x (B, C, N).
        weight_dc1: W (D, C, 1).
        bias_d: b (D,).
        token_major: pack the result in memory as (B, N, D).

    Returns:
        (B, D, N).
    """
    weight_dc, (batch, _, positions) = weight_dc1.squeeze(-1), x_bcn.shape
    if not torch.compiler.is_compiling() and one_product_pays(batch, positions, min(weight_dc.shape)):
        if token_major:
            y_bdn = F.linear(x_bcn.mT, weight_dc).mT
        else:
            y_bdn = (weight_dc @ x_bcn.transpose(0, 1).flatten(1)).unflatten(1, (batch, positions)).transpose(0, 1)
            y_bdn = y_bdn.contiguous()
    elif token_major:  # transposed, then expanded: the gradient's sum over the batch runs along its memory
        y_bdn = torch.bmm(x_bcn.mT, weight_dc.mT.expand(batch, -1, -1)).mT
    else:
        y_bdn = torch.bmm(weight_dc.expand(batch, -1, -1), x_bcn)
    return y_bdn if bias_d is None else y_bdn + bias_d[:, None]


def one_product_pays(batch: int, positions: int, channels: int) -> bool:
    """Whether packing all samples side by side, (C, B·N), for one product with the weights is faster than one each.

    A product for each sample also gives a gradient of the weights for each, to be added up: where positions are few,
    that costs more than to copy the features. A single sample needs no copy.

    Args:
        batch: B.
        positions: N.
        channels: those of the weights, the smaller of C and D.

    Returns:
        Whether it is.
    """
    return batch == 1 or 4 * positions < channels
