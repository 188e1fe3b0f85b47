"""Cutting and resizing decoded frames."""

import cv2
import numpy as np
from PIL import Image

from specvid.datasets.decode.picture import is_reduced
from specvid.modality import Interpolation

Window = tuple[int, int, int, int]  # top, left, height, width in px of the decoded frame


def cut_and_resize(
    frames: np.ndarray, window: Window, size: tuple[int, int], interpolation: Interpolation = "bilinear"
) -> np.ndarray:
    """Cut the same window out of every frame and resize it.

    Args:
        frames: uint8 (T, H, W, C).
        window: The part to cut.
        size: (height, width) in px to which it is resized.
        interpolation: How, see `specvid.modality.INTERPOLATIONS`; what ``area`` would enlarge is bilinear.

    Returns:
        uint8 (T, h, w, C).
    """
    top, left, height, width = window
    inside = frames[:, top : top + height, left : left + width]
    if (height, width) == size:
        return np.ascontiguousarray(inside)
    if interpolation == "bicubic":  # PIL's: OpenCV's INTER_CUBIC has other weights and no antialiasing
        pictures = (Image.fromarray(frame).resize(size[::-1], Image.Resampling.BICUBIC) for frame in inside)
        return np.stack([np.asarray(picture) for picture in pictures])
    area = interpolation == "area" and is_reduced((height, width), size)
    filter_ = cv2.INTER_AREA if area else cv2.INTER_LINEAR
    out = np.empty((len(frames), *size, frames.shape[3]), dtype=np.uint8)
    for frame, resized in zip(inside, out, strict=True):
        cv2.resize(frame, (size[1], size[0]), dst=resized, interpolation=filter_)
    return out


def check_fit(resized: tuple[int, int], size: tuple[int, int]) -> None:
    """Check that a crop fits into the resized frame.

    Args:
        resized: (height, width) of the frame in px.
        size: (height, width) of the crop in px.

    Raises:
        ValueError: It does not.
    """
    if resized[0] < size[0] or resized[1] < size[1]:
        raise ValueError(
            f"size = {size[0]} x {size[1]} px does not fit into the resized frame of {resized[0]} x {resized[1]} px: "
            "make `resize` at least as large as `size`."
        )
