"""Frames of tracklets: image files of any size, in the order asked for."""

import os
from collections.abc import Sequence

import numpy as np

from specvid.datasets.layouts.reid_set import Tracklet
from specvid.errors import VideoError


def read_frame(path: str | os.PathLike[str]) -> np.ndarray:
    """An image file as RGB, uint8 (H, W, 3). Raises ``VideoError`` for a missing, damaged or cut-off file."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise VideoError(path, "there is no such file") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "this is no image file that can be read" if "identify" in str(error) else str(error)
        raise VideoError(path, reason) from None


def read_frames(tracklet: Tracklet, indices: Sequence[int]) -> tuple[list[np.ndarray | None], list[str]]:
    """The frames of ``indices``, each file read once: uint8 (H, W, 3) or None if it cannot be read; and the errors."""
    read: dict[int, np.ndarray | None] = {}
    errors: list[str] = []
    for index in indices:
        if index not in read:
            try:
                read[index] = read_frame(tracklet.path(index))
            except VideoError as error:
                read[index] = None
                errors.append(str(error))
    return [read[index] for index in indices], errors


def stack(frames: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Frames as one array (T, H, W, 3); where they differ in size, all are resized to ``size`` (height, width) px."""
    if len({frame.shape for frame in frames}) == 1:
        return np.stack(frames)
    import cv2

    return np.stack([cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_LINEAR) for frame in frames])
