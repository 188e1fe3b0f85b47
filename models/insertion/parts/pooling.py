"""Temporal pooling: fewer frames from here on. In an image network it makes all that follows so much cheaper."""

from __future__ import annotations

from typing import overload

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.errors import unknown
from specvid.models.clip import fit_mask
from specvid.models.insertion.parts.registry import register_part

KINDS = ("max", "mean")


@register_part("tpool")
class TemporalPool(nn.Module):
    """(B, C, T, H, W) -> (B, C, ceil(T / ``factor``), H, W): the maximum or mean of each ``factor`` frames in a row.

    The last cell may have fewer. Only real frames count: a cell without any gives zeros and is none itself.

    Args:
        channels: C, which does not matter.
        factor: Frames of a cell.
        kind: ``max`` or ``mean``.

    Raises:
        ValueError: The factor is no integer from 2 up, or the kind is unknown.
    """

    changes_time = True

    def __init__(self, channels: int, *, factor: int = 2, kind: str = "max") -> None:
        super().__init__()
        if not isinstance(factor, int) or isinstance(factor, bool) or factor < 2:
            raise ValueError(f"factor={factor!r} of part 'tpool' is not possible: it is an integer from 2 up")
        if kind not in KINDS:
            raise unknown("kind of part 'tpool':", str(kind), KINDS)
        self.factor, self.kind = factor, kind

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        mask_bt = fit_mask(mask, x.shape[2])
        window = (self.factor, 1, 1)
        if self.kind == "max":
            if mask_bt is None:
                return F.max_pool3d(x, window, ceil_mode=True)
            real = mask_bt[:, None, :, None, None]
            y = F.max_pool3d(x.masked_fill(~real, -torch.inf), window, ceil_mode=True)
            pooled_bt = self.pool_mask(mask_bt, x.shape[2])
            return y.masked_fill(~pooled_bt[:, None, :, None, None], 0)
        batch, frames = x.shape[0], x.shape[2]
        real_bt = x.new_ones(batch, frames) if mask_bt is None else mask_bt.to(x.dtype)
        padding = -frames % self.factor
        x = F.pad(x * real_bt[:, None, :, None, None], (0, 0, 0, 0, 0, padding)).unflatten(2, (-1, self.factor))
        count_bt = F.pad(real_bt, (0, padding)).unflatten(1, (-1, self.factor)).sum(2).clamp_min(1)
        return x.sum(3) / count_bt[:, None, :, None, None]

    @overload
    def pool_mask(self, mask_bt: Tensor, frames: int) -> Tensor: ...
    @overload
    def pool_mask(self, mask_bt: None, frames: int) -> None: ...
    def pool_mask(self, mask_bt: Tensor | None, frames: int) -> Tensor | None:
        """The mask of the pooled frames: real where any frame of the cell is.

        Args:
            mask_bt: (B, T), bool, at any time resolution; None when all frames are real.
            frames: Number of frames that are pooled.

        Returns:
            (B, T'), bool; None for None.
        """
        mask_bt = fit_mask(mask_bt, frames)
        if mask_bt is None:
            return None
        return F.max_pool1d(mask_bt[:, None].float(), self.factor, ceil_mode=True)[:, 0] > 0

    def extra_repr(self) -> str:
        """The options, for ``repr``.

        Returns:
            E.g. ``factor=2, kind='max'``.
        """
        return f"factor={self.factor}, kind={self.kind!r}"
