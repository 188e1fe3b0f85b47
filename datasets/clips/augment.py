"""The albumentations transforms of a clip: one random choice holds for all of its frames (the ``images`` target).

They override ``apply_to_images``, because albumentations' own loop over frames costs more than the work: frames are
resized straight into the result, and what is the same for every pixel runs once, on one tall picture of all frames.
"""

import os
import random
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else its import asks the network for a newer version

import albumentations as A
import cv2
import numpy as np

from specvid.datasets.decode.picture import resized_size
from specvid.datasets.decode.resizing import Window, check_fit, cut_and_resize
from specvid.modality import Interpolation

# TSN's multi-scale cropping: shares of the short side, https://arxiv.org/abs/1608.00859, section 3.3.
MULTISCALE = (1.0, 0.875, 0.75, 0.66)


class RandomWindow(A.DualTransform):
    """Resize, then cut a crop out of a random place; done as cutting first, which resizes fewer pixels.

    Args:
        size: (height, width) of the crop in px.
        resize: Length of the short side in px, or (height, width).
        interpolation: How frames are resized.
    """

    def __init__(
        self, size: tuple[int, int], resize: int | tuple[int, int], interpolation: Interpolation = "bilinear"
    ) -> None:
        super().__init__(p=1.0)
        self.size, self.resize, self.interpolation = size, resize, interpolation

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Choose the window.

        Args:
            params: albumentations' own; its generator is used.
            data: The targets of the call.

        Returns:
            The window under ``window``.
        """
        full = params["shape"][0], params["shape"][1]
        return {"window": self.draw(full, self.py_random)}

    def draw(self, full: tuple[int, int], rng: random.Random) -> Window:
        """Choose a window.

        Args:
            full: (height, width) of the frame in px.
            rng: Where the choice comes from.

        Returns:
            The part of the frame that becomes the crop.
        """
        resized = resized_size(full, self.resize)
        check_fit(resized, self.size)
        height, width = (max(1, round(full[i] * self.size[i] / resized[i])) for i in (0, 1))
        return rng.randint(0, full[0] - height), rng.randint(0, full[1] - width), height, width

    def apply_to_images(self, images: np.ndarray, *args: Any, window: Window, **params: Any) -> np.ndarray:
        """Cut and resize all frames alike.

        Args:
            images: uint8 (T, H, W, C).
            *args: Ignored.
            window: The part that becomes the crop.
            **params: Ignored.

        Returns:
            uint8 (T, h, w, C).
        """
        return cut_and_resize(images, window, self.size, self.interpolation)


class RandomResizedWindow(RandomWindow):
    """A window with a random share of the area and a random aspect ratio (Inception, arXiv:1409.4842, section 6).

    Args:
        size: (height, width) in px to which it is resized.
        scale: Least and largest share of the area.
        ratio: Least and largest width / height.
        interpolation: How frames are resized.
    """

    def __init__(
        self,
        size: tuple[int, int],
        scale: tuple[float, float],
        ratio: tuple[float, float],
        interpolation: Interpolation = "bilinear",
    ) -> None:
        super().__init__(size, size, interpolation)
        self.scale, self.ratio = scale, ratio

    def draw(self, full: tuple[int, int], rng: random.Random) -> Window:
        """Ten tries; then the largest centred window of an allowed ratio, as torchvision does.

        Args:
            full: (height, width) of the frame in px.
            rng: Where the choice comes from.

        Returns:
            The window.
        """
        full_h, full_w = full
        low, high = np.log(self.ratio)
        for _ in range(10):
            area, ratio = full_h * full_w * rng.uniform(*self.scale), np.exp(rng.uniform(low, high))
            height, width = round(np.sqrt(area / ratio)), round(np.sqrt(area * ratio))
            if 0 < height <= full_h and 0 < width <= full_w:
                return rng.randint(0, full_h - height), rng.randint(0, full_w - width), height, width
        ratio = min(max(full_w / full_h, self.ratio[0]), self.ratio[1])
        height, width = min(full_h, round(full_w / ratio)), min(full_w, round(full_h * ratio))
        return (full_h - height) // 2, (full_w - width) // 2, height, width


class MultiScaleWindow(RandomWindow):
    """TSN's window (arXiv:1608.00859): sides from ``MULTISCALE`` x short side, at most one step apart, at one of
    13 places.

    Args:
        size: (height, width) in px to which it is resized.
        interpolation: How frames are resized.
    """

    def __init__(self, size: tuple[int, int], interpolation: Interpolation = "bilinear") -> None:
        super().__init__(size, size, interpolation)

    def draw(self, full: tuple[int, int], rng: random.Random) -> Window:
        """Choose among corners, edges, centre, and the points half-way between centre and corners.

        Args:
            full: (height, width) of the frame in px.
            rng: Where the choice comes from.

        Returns:
            The window.
        """
        steps = range(len(MULTISCALE))
        a, b = rng.choice([(a, b) for a in steps for b in steps if abs(a - b) <= 1])
        height, width = (max(1, int(min(full) * MULTISCALE[step])) for step in (a, b))
        y, x = rng.choice([(y, x) for y in (0, 2, 4) for x in (0, 2, 4)] + [(y, x) for y in (1, 3) for x in (1, 3)])
        return (full[0] - height) * y // 4, (full[1] - width) * x // 4, height, width


class ClipFlip(A.HorizontalFlip):
    """Mirror all frames."""

    def apply_to_images(self, images: np.ndarray, *args: Any, **params: Any) -> np.ndarray:
        """Mirror all frames: one flip of the tall picture.

        Args:
            images: uint8 (T, H, W, C).
            *args: Ignored.
            **params: Of albumentations.

        Returns:
            uint8 (T, H, W, C).
        """
        return cv2.flip(_tall(images), 1).reshape(images.shape)


class FlowFlip(ClipFlip):
    """Mirror all frames of optical flow: what moved to the right moves to the left."""

    def apply_to_images(self, images: np.ndarray, *args: Any, **params: Any) -> np.ndarray:
        """Mirror all frames, and negate x.

        Args:
            images: uint8 (T, H, W, 2), bytes of `specvid.datasets.clips.motion`.
            *args: Ignored.
            **params: Of albumentations.

        Returns:
            uint8 (T, H, W, 2).
        """
        mirrored = super().apply_to_images(images, *args, **params)
        mirrored[..., 0] = 255 - mirrored[..., 0]
        return mirrored


class ClipColorJitter(A.ColorJitter):
    """Brightness, contrast, saturation and hue; the contrast turns about the mean of the clip, not of each frame, so
    nothing flickers."""

    def apply_to_images(self, images: np.ndarray, *args: Any, **params: Any) -> np.ndarray:
        """Change the colours of all frames alike: one jitter of the tall picture.

        Args:
            images: uint8 (T, H, W, C).
            *args: Ignored.
            **params: Of albumentations.

        Returns:
            uint8 (T, H, W, C).
        """
        return self.apply(_tall(images), **params).reshape(images.shape)


class ClipGrey(A.ImageOnlyTransform):
    """Take the colours out of all frames; they keep three channels."""

    def apply_to_images(self, images: np.ndarray, *args: Any, **params: Any) -> np.ndarray:
        """Luma of ITU-R BT.601 in all channels: one conversion of the tall picture.

        Args:
            images: uint8 (T, H, W, 3).
            *args: Ignored.
            **params: Of albumentations.

        Returns:
            uint8 (T, H, W, 3).
        """
        grey = cv2.cvtColor(np.ascontiguousarray(_tall(images)), cv2.COLOR_RGB2GRAY)
        return cv2.merge([grey] * 3).reshape(images.shape)


class ClipBlur(A.ImageOnlyTransform):
    """Blur all frames alike.

    Args:
        sigma: Least and largest deviation of the Gaussian, px.
        p: Probability.
    """

    def __init__(self, sigma: tuple[float, float], p: float) -> None:
        super().__init__(p=p)
        self.sigma = sigma

    def get_params(self) -> dict[str, Any]:
        """Choose the deviation.

        Returns:
            It, under ``sigma``.
        """
        return {"sigma": self.py_random.uniform(*self.sigma)}

    def apply_to_images(self, images: np.ndarray, *args: Any, sigma: float, **params: Any) -> np.ndarray:
        """Blur frame by frame, or the edges of neighbours would mix.

        Args:
            images: uint8 (T, H, W, C).
            *args: Ignored.
            sigma: Deviation of the Gaussian, px.
            **params: Of albumentations.

        Returns:
            uint8 (T, H, W, C).
        """
        side = 2 * max(1, round(3 * sigma)) + 1
        return np.stack([cv2.GaussianBlur(frame, (side, side), sigma) for frame in images])


def _tall(images: np.ndarray) -> np.ndarray:
    return images.reshape(-1, images.shape[2], images.shape[3])
