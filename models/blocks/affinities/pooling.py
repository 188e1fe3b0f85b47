"""Sub-sampled keys and values (1711.07971, section 3.3): max-pooled by 2 in height and width, a quarter of the work.

mmcv and AlexHex7 pool phi and g, which is the paper's text; video-nonlocal-net and SlowFast pool the features that phi
and g are computed from. A maximum and a 1x1 convolution do not commute, so that these are two blocks.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def check_sub_sample(sub_sample: bool | str) -> bool | str:
    """Check the option ``sub_sample``.

    Args:
        sub_sample: ``False``, ``True`` or ``"input"``.

    Returns:
        ``sub_sample``.

    Raises:
        ValueError: it is none of these.
    """
    if not isinstance(sub_sample, bool) and sub_sample != "input":
        raise ValueError(
            f"sub_sample={sub_sample!r} is unknown: choose False, True (keys and values are pooled) or 'input' (the "
            "features are pooled that keys and values are computed from)."
        )
    return sub_sample


class SpatialPool:
    """Max-pooling by 2 in height and width of flattened features (B, C, N) whose ``sizes`` are (..., H, W).

    Args:
        sizes: of one graph.
        mask_bn: (B, N) bool, True where a position is valid; the others are not seen.
        at_input: keys and values are computed from pooled features, rather than pooled themselves.

    Raises:
        ValueError: there is no space, or it is smaller than 2 x 2.
    """

    def __init__(self, sizes: tuple[int, ...], mask_bn: Tensor | None = None, *, at_input: bool = False) -> None:
        if len(sizes) < 2 or min(sizes[-2:]) < 2:
            raise ValueError(
                f"sub_sample=True pools 2 x 2 in space, which positions of sizes {sizes} do not allow; use "
                "sub_sample=False."
            )
        self.sizes = sizes
        self.at_input = at_input
        self.invalid_b1n = None if mask_bn is None else ~mask_bn.unsqueeze(1)
        self.mask_bm: Tensor | None = None
        """(B, N'): a pooled position is valid where any of its four is."""
        if mask_bn is not None:
            self.mask_bm = self._pool(mask_bn.unsqueeze(1).float()).squeeze(1) > 0

    def __call__(self, x_bcn: Tensor) -> Tensor:
        """Pool features.

        Args:
            x_bcn: (B, C, N).

        Returns:
            (B, C, N'), N' = T·(H // 2)·(W // 2), 0 where none of the four positions is valid.
        """
        if self.invalid_b1n is None or self.mask_bm is None:
            return self._pool(x_bcn)
        pooled_bcm = self._pool(x_bcn.masked_fill(self.invalid_b1n, torch.finfo(x_bcn.dtype).min))
        return pooled_bcm.masked_fill(~self.mask_bm.unsqueeze(1), 0)

    def values(self, z_bcn: Tensor) -> Tensor:
        """Signals at pooled positions: pooled here, or computed from pooled features already.

        Args:
            z_bcn: (B, C, N) or (B, C, N').

        Returns:
            (B, C, N').
        """
        return z_bcn if self.at_input else self(z_bcn)

    def _pool(self, x_bcn: Tensor) -> Tensor:
        """Max-pooling of all positions."""
        batch, channels, positions = x_bcn.shape
        height, width = self.sizes[-2:]
        x = x_bcn.reshape(batch, channels * (positions // (height * width)), height, width)
        return F.max_pool2d(x, 2).reshape(batch, channels, positions // (height * width) * (height // 2) * (width // 2))
