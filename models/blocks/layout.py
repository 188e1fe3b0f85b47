"""How the samples of (B, C, N) lie in memory: apart, sample by sample, or side by side: (C, B, N) seen as (B, C, N).

Side by side, weights meet all samples in one product, and a channel of all samples is one piece. A single sample lies
both ways at once.
"""

import torch
from torch import Tensor


def side_by_side(x_bcn: Tensor) -> Tensor:
    """The same numbers, side by side; a copy only where they do not lie so."""
    return x_bcn.transpose(0, 1).contiguous().transpose(0, 1)


def empty_side_by_side(x_bcn: Tensor, channels: int) -> Tensor:
    """An empty (B, channels, N) of the kind of x."""
    return x_bcn.new_empty(channels, x_bcn.shape[0], x_bcn.shape[2]).transpose(0, 1)


def empty_as(x_bcn: Tensor, channels: int) -> Tensor:
    """An empty (B, channels, N), in memory as x is."""
    if columns(x_bcn) is not None:
        return empty_side_by_side(x_bcn, channels)
    return x_bcn.new_empty(x_bcn.shape[0], channels, x_bcn.shape[2])


def columns(x_bcn: Tensor) -> Tensor | None:
    """(C, B·N) as a view; None where samples lie apart."""
    x_cbn = x_bcn.transpose(0, 1)
    return x_cbn.flatten(1) if x_cbn.is_contiguous() else None


def mix(w_dc: Tensor, x_bcn: Tensor, *, out: Tensor) -> Tensor:
    """W x (B, D, N), in one product where samples lie side by side."""
    x_columns, out_columns = columns(x_bcn), columns(out)
    if x_columns is not None and out_columns is not None:
        torch.mm(w_dc, x_columns, out=out_columns)
    else:
        torch.bmm(w_dc.expand(x_bcn.shape[0], *w_dc.shape), x_bcn, out=out)
    return out


def outer(grad_bdn: Tensor, x_bcn: Tensor) -> Tensor:
    """sum_b grad x^T, the gradient of W in W x: (D, C)."""
    grad_columns, x_columns = columns(grad_bdn), columns(x_bcn)
    if grad_columns is not None and x_columns is not None:
        return grad_columns @ x_columns.mT
    return torch.bmm(grad_bdn, x_bcn.mT).sum(0)


def as_one(x_bcn: Tensor) -> Tensor:
    """All samples as one, (1, C, B·N), contiguous: a view where they lie side by side."""
    return x_bcn.transpose(0, 1).reshape(1, x_bcn.shape[1], -1)


def apart(x_1cm: Tensor, like_bcn: Tensor) -> Tensor:
    """(B, C, N) as a view of what :func:`as_one` made of so many samples."""
    return x_1cm.view(x_1cm.shape[1], like_bcn.shape[0], like_bcn.shape[2]).transpose(0, 1)
