"""How the samples of (B, C, N) are packed in memory: apart, one after the other, or side by side, as (C, B, N) seen as
(B, C, N).

Side by side, weights meet all samples in one product, and a channel of all samples is contiguous. A single sample is
packed both ways at once. On CUDA, samples with channels last, (B, N, C) seen as (B, C, N), meet weights in one product
as well.
"""

import torch
from torch import Tensor


def side_by_side(x_bcn: Tensor) -> Tensor:
    """Pack samples side by side; a copy only where they are not packed so already.

    Args:
        x_bcn: (B, C, N).

    Returns:
        (B, C, N).
    """
    return x_bcn.transpose(0, 1).contiguous().transpose(0, 1)


def empty_side_by_side(x_bcn: Tensor, channels: int) -> Tensor:
    """An empty tensor packed side by side.

    Args:
        x_bcn: of the same type and device, (B, C, N).
        channels: of the result.

    Returns:
        (B, channels, N).
    """
    return x_bcn.new_empty(channels, x_bcn.shape[0], x_bcn.shape[2]).transpose(0, 1)


def empty_as(x_bcn: Tensor, channels: int) -> Tensor:
    """An empty tensor packed as another one.

    Args:
        x_bcn: of the same type, device and packing, (B, C, N).
        channels: of the result.

    Returns:
        (B, channels, N).
    """
    if _channels_last(x_bcn):
        return x_bcn.new_empty(x_bcn.shape[0], x_bcn.shape[2], channels).mT
    if columns(x_bcn) is not None:
        return empty_side_by_side(x_bcn, channels)
    return x_bcn.new_empty(x_bcn.shape[0], channels, x_bcn.shape[2])


def columns(x_bcn: Tensor) -> Tensor | None:
    """All samples as columns of one matrix, without a copy.

    Args:
        x_bcn: (B, C, N).

    Returns:
        A view (C, B·N), or ``None`` where samples are packed apart.
    """
    x_cbn = x_bcn.transpose(0, 1)
    return x_cbn.flatten(1) if x_cbn.is_contiguous() or _channels_last(x_bcn) else None


def _channels_last(x_bcn: Tensor) -> bool:
    """Whether this is (B, N, C), or some of its channels, on CUDA."""
    batch_stride, channel_stride, stride = x_bcn.stride()
    return x_bcn.is_cuda and channel_stride == 1 < x_bcn.shape[1] and batch_stride == stride * x_bcn.shape[2]


def mix(w_dc: Tensor, x_bcn: Tensor, *, out: Tensor) -> Tensor:
    """The product W x, in one call where samples are packed side by side.

    Args:
        w_dc: W (D, C).
        x_bcn: x (B, C, N).
        out: where the result is written, (B, D, N).

    Returns:
        ``out``.
    """
    x_columns, out_columns = columns(x_bcn), columns(out)
    if x_columns is not None and out_columns is not None:
        torch.mm(w_dc, x_columns, out=out_columns)
    else:
        torch.bmm(w_dc.expand(x_bcn.shape[0], *w_dc.shape), x_bcn, out=out)
    return out


def outer(grad_bdn: Tensor, x_bcn: Tensor) -> Tensor:
    """The gradient of W in y = W x, which is sum_b grad x^T.

    Args:
        grad_bdn: the gradient of y (B, D, N).
        x_bcn: x (B, C, N).

    Returns:
        (D, C).
    """
    grad_columns, x_columns = columns(grad_bdn), columns(x_bcn)
    if grad_columns is not None and x_columns is not None:
        return grad_columns @ x_columns.mT
    return torch.bmm(grad_bdn, x_bcn.mT).sum(0)


def as_one(x_bcn: Tensor) -> Tensor:
    """All samples as one: a view where they are packed side by side.

    Args:
        x_bcn: (B, C, N).

    Returns:
        (1, C, B·N), contiguous.
    """
    return x_bcn.transpose(0, 1).reshape(1, x_bcn.shape[1], -1)


def apart(x_1cm: Tensor, like_bcn: Tensor) -> Tensor:
    """The inverse of :func:`as_one`, as a view: (1, C, B·N) -> (B, C, N) with B and N of ``like_bcn``."""
    return x_1cm.view(x_1cm.shape[1], like_bcn.shape[0], like_bcn.shape[2]).transpose(0, 1)
