"""What the parts inside a network need to know of the clip in flight: its length and which frames are real.

`VideoModel` fills the one `ClipState` that all its inserted blocks share, at the beginning of each forward pass; a part
that changes the number of frames says so there, for those that come after it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


class ClipState:
    """``frames``: clip length T in frames, of an image network also behind temporal pooling; ``mask_bt``: bool (B, T),
    True = real frame, or None when all frames are real.
    """

    def __init__(self) -> None:
        self.frames: int | None = None
        self.mask_bt: Tensor | None = None


def fit_mask(mask_bt: Tensor | None, frames: int) -> Tensor | None:
    """The mask at a coarser time resolution: a step is valid where any frame of its cell is. (B, T) -> (B, frames),
    bool. The cells are those of adaptive pooling, which ONNX does not have for a T that varies.
    """
    if mask_bt is None or mask_bt.shape[1] == frames:
        return mask_bt
    steps = torch.arange(frames, device=mask_bt.device)
    first, behind = steps * mask_bt.shape[1] // frames, -(-(steps + 1) * mask_bt.shape[1] // frames)
    real = F.pad(mask_bt.long().cumsum(1), (1, 0))  # how many of the first 0, 1, ... frames are real
    return real[:, behind] > real[:, first]
