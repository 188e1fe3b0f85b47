"""What the parts inside a network need to know of the clip in flight: its length and which frames are real.

`VideoModel` fills the one `ClipState` that all its inserted blocks share, at the beginning of each forward pass; a part
that changes the number of frames says so there, for those that come after it.
"""

from __future__ import annotations

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
    bool.
    """
    if mask_bt is None or mask_bt.shape[1] == frames:
        return mask_bt
    return F.adaptive_max_pool1d(mask_bt[:, None].float(), frames)[:, 0] > 0
