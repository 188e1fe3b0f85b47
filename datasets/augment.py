"""The albumentations pipelines: every random choice is made once and holds for all frames of a clip (the ``images`` target)."""

from collections.abc import Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np

# Scales and the 13 places of a crop: TSN, https://arxiv.org/abs/1608.00859, section 3.3 "scale jittering" and "corner cropping".
MULTISCALE = (1.0, 0.875, 0.75, 0.66)


class MultiScaleCrop(A.DualTransform):
    """TSN's crop: sides drawn from ``scales`` x short side, at most one step apart, at one of 13 fixed places; resized to (height, width)."""

    def __init__(self, height: int, width: int, scales: Sequence[float] = MULTISCALE) -> None:
        super().__init__(p=1.0)
        self.height, self.width, self.scales = height, width, tuple(scales)

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the box (top, left, height, width)."""
        full_h, full_w = params["shape"][:2]
        short = min(full_h, full_w)
        steps = range(len(self.scales))
        pairs = [(a, b) for a in steps for b in steps if abs(a - b) <= 1]
        a, b = pairs[self.py_random.randrange(len(pairs))]
        crop_h, crop_w = (max(1, int(short * self.scales[step])) for step in (a, b))
        quarter_h, quarter_w = (full_h - crop_h) / 4, (full_w - crop_w) / 4
        places = [(y, x) for y in (0, 2, 4) for x in (0, 2, 4)] + [(y, x) for y in (1, 3) for x in (1, 3)]
        y, x = places[self.py_random.randrange(len(places))]
        return {"box": (int(y * quarter_h), int(x * quarter_w), crop_h, crop_w)}

    def apply(self, img: np.ndarray, box: tuple[int, int, int, int], **params: Any) -> np.ndarray:
        """Crop and resize one frame."""
        top, left, height, width = box
        return cv2.resize(
            img[top : top + height, left : left + width], (self.width, self.height), interpolation=cv2.INTER_LINEAR
        )


def resize_to(resize: int | tuple[int, int]) -> A.DualTransform:
    """Resize the short side to ``resize`` px, or exactly to (height, width); bilinear."""
    if isinstance(resize, tuple):
        return A.Resize(height=resize[0], width=resize[1], interpolation=cv2.INTER_LINEAR)
    return A.SmallestMaxSize(max_size=resize, interpolation=cv2.INTER_LINEAR)


def crop_to(
    kind: str, size: tuple[int, int], resize: int | tuple[int, int], scale: tuple[float, float]
) -> list[A.BasicTransform]:
    """The geometric part: ``random`` = resize, then cut out ``size``; ``resized`` and ``multiscale`` = cut out, then resize."""
    height, width = size
    if kind == "random":
        return [resize_to(resize), A.RandomCrop(height=height, width=width, pad_if_needed=True)]
    if kind == "resized":
        return [A.RandomResizedCrop(size=size, scale=scale, ratio=(3 / 4, 4 / 3), interpolation=cv2.INTER_LINEAR)]
    return [MultiScaleCrop(height, width)]
