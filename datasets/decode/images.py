"""Frames of tracklets: image files of any size, in the order asked for."""

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from specvid.datasets.decode.picture import is_reduced, resized_size
from specvid.datasets.layouts.reid_set import Tracklet
from specvid.errors import VideoError
from specvid.modality import Interpolation

BACKGROUND = 0  # black: what transparent pixels are composed on
# By Pillow's names. Others have programs run (of PostScript, Ghostscript), or are no pictures of a camera.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "SGI", "TGA", "TIFF", "WEBP")

_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")
_ORIENTATION = 0x0112  # EXIF


def read_frame(path: str | os.PathLike[str]) -> np.ndarray:
    """An image file as a viewer shows it: turned as its EXIF data say, 16 bits scaled to 8, transparent parts black.

    Args:
        path: a file of one of the ``FORMATS``, whatever its name ends with; of several pictures the first.

    Returns:
        uint8 RGB (H, W, 3).

    Raises:
        VideoError: the file is missing, damaged or cut off, or its pixels are 32-bit numbers of unknown range.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=_formats()) as image:
            usual = image.mode == "RGB" and "transparency" not in image.info
            if usual and image.getexif().get(_ORIENTATION, 1) == 1:
                return np.asarray(image)
            return np.ascontiguousarray(_shown(image))
    except FileNotFoundError:
        raise VideoError(path, "there is no such file") from None
    except Exception as error:  # of many classes, whatever the damage hits
        reason = "this is no image file that can be read" if "identify" in str(error) else str(error)
        raise VideoError(path, reason or type(error).__name__) from None


@lru_cache(maxsize=1)
def _formats() -> list[str]:
    """Those of the ``FORMATS`` that this Pillow was built with."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _shown(image: Any) -> np.ndarray:
    """Any of Pillow's modes as RGB, uint8 (H, W, 3)."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode in _SIXTEEN or (image.mode == "I" and image.format == "PNG"):  # Pillow's older name of it
        grey = ((np.asarray(image).astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise ValueError("its pixels are 32-bit numbers of unknown range: save it with 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (BACKGROUND,) * 3 + (255,))
        image = Image.alpha_composite(ground, image)
    return np.asarray(image.convert("RGB"))


def read_frames(tracklet: Tracklet, indices: Sequence[int]) -> tuple[list[np.ndarray | None], list[str]]:
    """Read frames of a tracklet, each file once.

    Args:
        tracklet: whose images.
        indices: of the frames, from 0.

    Returns:
        For each index uint8 (H, W, 3), or None if it cannot be read; and the errors.
    """
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


def reduce(frame: np.ndarray, resize: int | tuple[int, int] | None) -> np.ndarray:
    """A frame reduced to a size, each pixel the mean of those that it takes the place of.

    Args:
        frame: uint8 (H, W, 3).
        resize: length of the short side in px, or (height, width); None: as it is.

    Returns:
        uint8 (h, w, 3); the frame itself where a side would be enlarged.
    """
    if resize is None or not is_reduced(frame.shape[:2], size := resized_size(frame.shape[:2], resize)):
        return frame
    import cv2

    return cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def stack(frames: Sequence[np.ndarray], size: tuple[int, int], interpolation: Interpolation = "bilinear") -> np.ndarray:
    """Frames as one array; where they differ in size, all are resized.

    Args:
        frames: each uint8 (H, W, 3).
        size: (height, width) in px to which they are resized then.
        interpolation: how.

    Returns:
        uint8 (T, H, W, 3).
    """
    if len({frame.shape for frame in frames}) == 1:
        return np.stack(frames)
    from specvid.datasets.decode.resizing import cut_and_resize

    whole = [cut_and_resize(frame[None], (0, 0, *frame.shape[:2]), size, interpolation) for frame in frames]
    return np.concatenate(whole)
