"""From decoded frames, uint8 (T, H, W, C), to the input of a network: cropped, augmented and normalised.

The input is float32 (C, T, h, w). C is 3 of RGB and of differences of frames, 2 of optical flow.

Augmentation is the same for all frames of a clip and stays in bytes (albumentations); the crop becomes float and
channels-first in one pass. A training's workers hand over bytes, a quarter of the floats, and `normalise_clips` makes
the same numbers of them on the device.
"""

import random
from typing import Any

import numpy as np
import torch

from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.decode.picture import resized_size
from specvid.errors import unknown
from specvid.modality import Interpolation, require_colours

CROPS = ("random", "resized", "multiscale")
VIEWS = (1, 3, 5, 10)


class Normalise:
    """``(x / 255 - mean) / std`` per channel: uint8 (T, H, W, C) -> float32 (C, T, H, W), contiguous.

    ``normalise(frames, out)`` writes into ``out``, where it is given.

    Args:
        mean: Of the C channels, on pixel values in [0, 1].
        std: Likewise.

    Raises:
        ValueError: They are not as many numbers, or a deviation is not above 0.
    """

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        if len(mean) != len(std) or min(std) <= 0:
            raise ValueError(f"mean = {mean}, std = {std}: expected a number of each for every channel, std above 0.")
        self.scale = [1 / (255 * s) for s in std]
        self.shift = [-m / s for m, s in zip(mean, std, strict=True)]

    def __call__(self, frames: np.ndarray, out: torch.Tensor | None = None) -> torch.Tensor:
        import cv2

        count = len(self.scale)
        if out is None:
            out = torch.empty(count, *frames.shape[:3])
        height, width = len(frames) * frames.shape[1], frames.shape[2]
        # All frames as one tall picture, whose channels OpenCV separates faster than any strided copy, and turns to
        # floats, scales and shifts while it writes them.
        channels = cv2.split(np.ascontiguousarray(frames).reshape(height, width, count))
        planes = out.numpy().reshape(count, height, width)
        for plane, channel, scale, shift in zip(planes, channels, self.scale, self.shift, strict=True):
            cv2.addWeighted(channel, scale, channel, 0, shift, dst=plane, dtype=cv2.CV_32F)
        return out


def normalise_clips(clips: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """`Normalise` for a batch, on the device where it lies.

    Args:
        clips: uint8 (B, T, h, w, C).
        mean: Of the C channels, on pixel values in [0, 1].
        std: Likewise.

    Returns:
        float32 (B, C, T, h, w); on the CPU bit for bit what `Normalise` gives, elsewhere to float rounding.
    """
    normalise = Normalise(mean, std)
    x = torch.empty(len(clips), clips.shape[4], *clips.shape[1:4], device=clips.device)
    if clips.device.type == "cpu":
        for clip, out in zip(clips, x, strict=True):
            normalise(clip.numpy(), out)
        return x
    for channel, (scale, shift) in enumerate(zip(normalise.scale, normalise.shift, strict=True)):
        x[:, channel].copy_(clips[..., channel]).mul_(scale).add_(shift)
    return x


class TrainTransform:
    """What `train_transform` makes: ``transform(frames, rng)`` -> float32 (C, T, h, w), or the bytes of it.

    Args:
        pipeline: The augmentation.
        normalise: What follows it; None: bytes, uint8 (T, h, w, C).
    """

    def __init__(self, pipeline: Any, normalise: Normalise | None) -> None:
        self.pipeline, self.normalise = pipeline, normalise

    def __call__(self, frames: np.ndarray, rng: np.random.Generator | None) -> torch.Tensor:
        if rng is None:
            raise ValueError("a training transform is random: pass a numpy Generator.")
        draw = random.Random(int(rng.integers(2**63)))
        for step in self.pipeline.transforms:  # albumentations keeps its own generators: these replace them
            step.set_random_state(rng, draw)
        frames = self.pipeline(images=frames)["images"]
        return torch.from_numpy(np.ascontiguousarray(frames)) if self.normalise is None else self.normalise(frames)


class TestTransform:
    """What `test_transform` makes: ``transform(frames)`` -> float32 (crops, C, T, h, w).

    Nothing in it is random; a generator is ignored.

    Args:
        resize: Length of the short side in px, or (height, width).
        size: (height, width) of a crop in px.
        crops: How many.
        normalise: What follows the cropping.
        interpolation: How frames are resized, see `ClipSpec`.
        is_flow: Whether mirrored views are of optical flow, whose x then changes its sign.
    """

    __test__ = False  # not a test, whatever pytest thinks of its name

    def __init__(
        self,
        resize: int | tuple[int, int],
        size: tuple[int, int],
        crops: int,
        normalise: Normalise,
        *,
        interpolation: Interpolation = "bilinear",
        is_flow: bool = False,
    ) -> None:
        self.resize, self.size, self.crops, self.normalise = resize, size, crops, normalise
        self.interpolation, self.is_flow = interpolation, is_flow

    def __call__(self, frames: np.ndarray, rng: np.random.Generator | None = None) -> torch.Tensor:
        from specvid.datasets.decode.resizing import check_fit, cut_and_resize

        full_h, full_w = frames.shape[1:3]
        resized = resized_size((full_h, full_w), self.resize)
        check_fit(resized, self.size)
        frames = cut_and_resize(frames, (0, 0, full_h, full_w), resized, self.interpolation)
        height, width = self.size
        views = torch.empty(self.crops, len(self.normalise.scale), len(frames), height, width)
        for view, (y, x) in zip(views, crop_places(*resized, self.size, self.crops), strict=False):
            self.normalise(frames[:, y : y + height, x : x + width], out=view)
        if self.crops == 10:
            views[5:] = views[:5].flip(-1)
            if self.is_flow:  # byte v becomes 255 - v
                views[5:, 0] = 255 * self.normalise.scale[0] + 2 * self.normalise.shift[0] - views[5:, 0]
        return views


def train_transform(
    spec: ClipSpec,
    *,
    crop: str = "random",
    scale: tuple[float, float] = (0.5, 1.0),
    flip: float = 0.5,
    jitter: float = 0.0,
    erase: float = 0.0,
    grey: float = 0.0,
    blur: float = 0.0,
    normalised: bool = True,
) -> TrainTransform:
    """Augmentation for training; each random choice holds for the whole clip and comes from the generator passed in.

    Args:
        spec: The clips.
        crop: ``random`` (resize to ``spec.resize``, cut out ``spec.size``), ``resized`` (a part with ``scale`` of the
            area and 3/4 to 4/3 of the aspect ratio of ``spec.size``, to which it is resized; Inception) or
            ``multiscale`` (TSN's corners and scales, resized).
        scale: Least and largest share of the area, of ``resized``.
        flip: Probability of mirroring.
        jitter: Strength of brightness, contrast and saturation changes, hue a quarter of it; 0 = none.
        erase: Probability of blanking a rectangle with the mean colour (random erasing, arXiv:1708.04896).
        grey: Probability of taking the colours out.
        blur: Probability of a Gaussian blur, whose deviation is 0.1 to 2 px of 224 (SimCLR, arXiv:2002.05709).
        normalised: False: bytes, for `normalise_clips` on the device.

    Returns:
        A callable (uint8 (T, H, W, C), numpy Generator) -> float32 (C, T, h, w), or uint8 (T, h, w, C).

    Raises:
        ValueError: The crop is unknown, a number is out of its range, or colours are to change that are none.
    """
    if crop not in CROPS:
        raise unknown("crop", crop, CROPS)
    for name, value in (("flip", flip), ("erase", erase), ("jitter", jitter), ("grey", grey), ("blur", blur)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} = {value}: expected a number from 0 to 1.")
    require_colours(spec.modality, jitter, grey)
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(f"scale = {scale}: expected two shares of the area, 0 < least <= most <= 1.")
    from specvid.datasets.clips import augment

    size = spec.crop
    steps: list[augment.A.BasicTransform]
    if crop == "random":
        steps = [augment.RandomWindow(size, spec.resize, spec.interpolation)]
    elif crop == "resized":
        shape = size[1] / size[0]
        ratio = (3 / 4 * shape, 4 / 3 * shape)
        steps = [augment.RandomResizedWindow(size, scale, ratio, spec.interpolation)]
    else:
        steps = [augment.MultiScaleWindow(size, spec.interpolation)]
    if flip:
        steps.append(augment.FlowFlip(p=flip) if spec.modality == "flow" else augment.ClipFlip(p=flip))
    if jitter:
        about_one = (1 - jitter, 1 + jitter)
        steps.append(augment.ClipColorJitter(about_one, about_one, about_one, (-jitter / 4, jitter / 4), p=0.8))
    if grey:
        steps.append(augment.ClipGrey(p=grey))
    if blur:
        steps.append(augment.ClipBlur((0.1 * min(size) / 224, 2 * min(size) / 224), p=blur))
    if erase:
        mean_colour = tuple(round(255 * mean) for mean in spec.mean)
        steps.append(augment.A.Erasing(scale=(0.02, 0.33), ratio=(0.3, 3.3), fill=mean_colour, p=erase))
    normalise = Normalise(spec.mean, spec.std)  # which checks its numbers
    return TrainTransform(augment.A.Compose(steps, is_check_shapes=False), normalise if normalised else None)


def test_transform(spec: ClipSpec, *, crops: int = 1) -> TestTransform:  # noqa: PT028
    """Resize to ``spec.resize``, then cut out crops of ``spec.size``.

    Args:
        spec: The clips.
        crops: 1 = centre; 3 = evenly along the longer side; 5 = centre and corners; 10 = 5 and mirrored.

    Returns:
        A callable (uint8 (T, H, W, C)) -> float32 (crops, C, T, h, w).

    Raises:
        ValueError: ``crops`` is none of these.
    """
    if crops not in VIEWS:
        raise ValueError(f"crops = {crops}: expected 1, 3, 5 or 10.")
    normalise, is_flow = Normalise(spec.mean, spec.std), spec.modality == "flow"
    settings: dict[str, Any] = {"interpolation": spec.interpolation, "is_flow": is_flow}
    return TestTransform(spec.resize, spec.crop, crops, normalise, **settings)


test_transform.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever pytest thinks of its name


def crop_places(full_h: int, full_w: int, size: tuple[int, int], crops: int) -> list[tuple[int, int]]:
    """Where the crops of `test_transform` lie; ten crops share the places of five.

    Args:
        full_h: Height of the resized frame in px.
        full_w: Width of it in px.
        size: (height, width) of a crop in px.
        crops: 1, 3, 5 or 10.

    Returns:
        (top, left) of each in px.
    """
    room_h, room_w = full_h - size[0], full_w - size[1]
    centre = (room_h // 2, room_w // 2)
    if crops == 1:
        return [centre]
    if crops == 3:
        return (
            [(centre[0], x) for x in (0, centre[1], room_w)]
            if room_w >= room_h
            else [(y, centre[1]) for y in (0, centre[0], room_h)]
        )
    return [centre, (0, 0), (0, room_w), (room_h, 0), (room_h, room_w)]
