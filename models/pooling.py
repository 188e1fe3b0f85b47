"""Pooling of a feature map to one vector a clip: (B, D, T, H, W) -> (B, D). Space is averaged; time is pooled over
real frames.

A clip without a single valid frame gives zeros.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from specvid.errors import unknown
from specvid.models.clip import fit_mask


class MeanPool(nn.Module):
    """Mean over all valid positions: (B, D, T, H, W), optional mask (B, T) -> (B, D).

    Args:
        channels: D, which does not matter.
        window: (time, height, width) of an average window that the original network slides with stride 1 before it
            averages (I3D, S3D): the same as one mean in which a position weighs as much as the windows that cover it.
    """

    def __init__(self, channels: int, *, window: tuple[int, int, int] | None = None) -> None:
        super().__init__()
        self.window = window

    def forward(self, x_bdthw: Tensor, mask_bt: Tensor | None = None) -> Tensor:
        if self.window is None and mask_bt is None:
            return x_bdthw.mean((2, 3, 4))
        windows = self.window or (1, 1, 1)
        weight_t, weight_h, weight_w = (
            _coverage(size, window, like=x_bdthw) for size, window in zip(x_bdthw.shape[2:], windows, strict=True)
        )
        x_bdt = (x_bdthw * (weight_h[:, None] * weight_w)).sum((3, 4))
        mask_bt = fit_mask(mask_bt, x_bdt.shape[2])
        if mask_bt is None:
            return (x_bdt * weight_t).sum(2)
        weight_bt = weight_t * mask_bt
        weight_bt = weight_bt / weight_bt.sum(1, keepdim=True).clamp_min(torch.finfo(weight_bt.dtype).tiny)
        return (x_bdt * weight_bt[:, None].masked_fill(~mask_bt[:, None], 0)).sum(2)


class MaxPool(nn.Module):
    """Mean over space, then the maximum over the valid frames: (B, D, T, H, W), optional mask (B, T) -> (B, D).

    Args:
        channels: D, which does not matter.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x_bdthw: Tensor, mask_bt: Tensor | None = None) -> Tensor:
        x_bdt = x_bdthw.mean((3, 4))
        mask_bt = fit_mask(mask_bt, x_bdt.shape[2])
        if mask_bt is None:
            return x_bdt.amax(2)
        best_bd = x_bdt.masked_fill(~mask_bt[:, None], -torch.inf).amax(2)
        return best_bd.masked_fill(~mask_bt.any(1, keepdim=True), 0)


class AttentionPool(nn.Module):
    """Mean over space, then a weighted mean over the valid frames: softmax of one learned linear score a frame.

    (B, D, T, H, W), optional mask (B, T) -> (B, D). The score starts at zero, so at first this is `MeanPool`. (Temporal
    attention of Gao & Nevatia, arXiv:1805.02104, with a linear score.)

    Args:
        channels: D.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Linear(channels, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, x_bdthw: Tensor, mask_bt: Tensor | None = None) -> Tensor:
        x_btd = x_bdthw.mean((3, 4)).transpose(1, 2)
        score_bt = self.score(x_btd)[..., 0]
        mask_bt = fit_mask(mask_bt, x_btd.shape[1])
        if mask_bt is not None:
            score_bt = score_bt.masked_fill(~mask_bt, torch.finfo(score_bt.dtype).min)
        weight_bt = score_bt.softmax(1)
        if mask_bt is not None:
            weight_bt = weight_bt.masked_fill(~mask_bt, 0)
        return (weight_bt[..., None] * x_btd).sum(1)


POOLINGS: dict[str, Callable[..., nn.Module]] = {"mean": MeanPool, "max": MaxPool, "attention": AttentionPool}


def create_pooling(name: str, channels: int, *, window: tuple[int, int, int] | None = None) -> nn.Module:
    """Build a pooling.

    Args:
        name: ``mean``, ``max`` or ``attention``.
        channels: D of the features.
        window: See `MeanPool`; the others ignore it.

    Returns:
        A module (B, D, T, H, W), optional mask (B, T) -> (B, D).

    Raises:
        ValueError: The name is unknown.
    """
    if name not in POOLINGS:
        raise unknown("pooling", name, POOLINGS)
    return MeanPool(channels, window=window) if name == "mean" else POOLINGS[name](channels)


def _coverage(size: int, window: int, *, like: Tensor) -> Tensor:
    """How many of the windows sliding over ``size`` positions cover each position, normalised to sum 1."""
    window = min(window, size)
    position = torch.arange(size, device=like.device)
    first, last = (position - window + 1).clamp_min(0), position.clamp_max(size - window)
    count = (last - first + 1).to(like.dtype)
    return count / count.sum()
