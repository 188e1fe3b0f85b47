"""TSM: "Temporal Shift Module for Efficient Video Understanding" (Lin, Gan & Han, ICCV 2019, arXiv:1811.08383).

A part of the channels moves one frame into the past, a part one frame into the future, the rest stays; where there is
no such frame, zeros come in. It stands inside each residual branch, before its first convolution: ``tsm@residual``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from specvid.models.clip import fit_mask
from specvid.models.insertion.parts.registry import register_part


@register_part("tsm")
class TemporalShift(nn.Module):
    """Shift of channels in time: (B, C, T, H, W) -> the same shape.

    ``y[t] = x[t + 1]`` in the first C // ``fold_div`` channels, ``x[t - 1]`` in as many after them, ``x[t]`` in the
    others. Frames that the mask leaves out are zeros to their neighbours, as if the clip ended before them.

    Args:
        channels: C.
        fold_div: Into how many parts the channels are divided, of which two move; 8 is the paper's.

    Raises:
        ValueError: ``fold_div`` is no integer from 2 to C.
    """

    def __init__(self, channels: int, *, fold_div: int = 8) -> None:
        super().__init__()
        if not isinstance(fold_div, int) or not 2 <= fold_div <= channels:
            raise ValueError(
                f"fold_div={fold_div!r} of part 'tsm' is not possible with {channels} channels: it is an integer "
                "from 2 (all channels move) up to the number of channels"
            )
        self.fold_div, self.fold = fold_div, channels // fold_div

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        mask_bt = fit_mask(mask, x.shape[2])
        if mask_bt is not None:
            x = x * mask_bt[:, None, :, None, None]
        later, earlier, stay = x.split([self.fold, self.fold, x.shape[1] - 2 * self.fold], dim=1)
        later = nn.functional.pad(later[:, :, 1:], (0, 0, 0, 0, 0, 1))
        earlier = nn.functional.pad(earlier[:, :, :-1], (0, 0, 0, 0, 1, 0))
        return torch.cat([later, earlier, stay], dim=1)

    def extra_repr(self) -> str:
        """The one option, for ``repr``.

        Returns:
            E.g. ``fold_div=8``.
        """
        return f"fold_div={self.fold_div}"
