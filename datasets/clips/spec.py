"""What a clip is: how many frames, which ones, at what size, normalised how, read by what. It travels as one thing."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from specvid.datasets.clips.sampling import dense_clip, shortage, test_clips, uniform_segments
from specvid.datasets.decode import MIN_READABLE, check_decoder
from specvid.errors import unknown
from specvid.modality import CHANNELS, Interpolation, Modality, check_interpolation
from specvid.text import counted

SAMPLINGS = ("dense", "segments")


class InputLike(Protocol):
    """A network's ``InputSpec``, or anything else with these fields, explained in `ClipSpec`."""

    @property
    def frames(self) -> int: ...
    @property
    def stride(self) -> int: ...
    @property
    def size(self) -> int | tuple[int, int]: ...
    @property
    def resize(self) -> int | tuple[int, int]: ...
    @property
    def mean(self) -> tuple[float, ...]: ...
    @property
    def std(self) -> tuple[float, ...]: ...
    @property
    def modality(self) -> Modality: ...
    @property
    def interpolation(self) -> Interpolation: ...


@dataclass(frozen=True)
class ClipSpec:
    """How a clip is read from a video.

    Args:
        frames: length of the clip.
        stride: distance of its consecutive frames, in frames of the video.
        size: side of the square crop in px, or (height, width).
        resize: short side before the crop in px, or exactly (height, width).
        mean: of the channels, on pixel values in [0, 1].
        std: of the channels, on pixel values in [0, 1].
        sampling: ``dense`` (consecutive frames, ``stride`` apart) or ``segments`` (one frame from each of ``frames``
            equal parts of the video).
        decoder: video decoder, see `specvid.datasets.decode.list_decoders`.
        min_readable: share of the frames wanted at once that must decode; the nearest ones stand in for the others.
        modality: what is seen of the video: ``rgb``, ``flow`` or ``rgb-diff``, see `specvid.datasets.clips.motion`.
        interpolation: ``bilinear``; ``area``: frames larger than ``resize`` come out of the decoder at that size,
            means of the pixels inside, and a training crop is cut out of those; ``bicubic``: as PIL does it.

    Raises:
        ValueError: numbers out of range, an unknown sampling, or a decoder that is unknown or not installed.
    """

    frames: int
    stride: int
    size: int | tuple[int, int]
    resize: int | tuple[int, int]
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    sampling: str = "dense"
    decoder: str = "pyav"
    min_readable: float = MIN_READABLE
    modality: Modality = "rgb"
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        for name in ("frames", "stride"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: expected a whole number of at least 1.")
        for name in ("size", "resize"):
            value = getattr(self, name)
            if min(as_pair(value)) < 1:
                raise ValueError(f"{name} = {value}: expected one or two whole numbers of pixels of at least 1.")
            if not isinstance(value, int):  # a list comes from JSON
                object.__setattr__(self, name, as_pair(value))
        for name in ("mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.modality not in CHANNELS:
            raise unknown("modality", self.modality, CHANNELS)
        check_interpolation(self.interpolation, self.modality)
        numbers = (*self.mean, *self.std)
        right = all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
        if not right or (len(self.mean), len(self.std)) != (self.channels,) * 2 or min(self.std) <= 0:
            raise ValueError(
                f"mean = {self.mean}, std = {self.std}: expected {self.channels} numbers each, finite, std above 0."
            )
        if self.sampling not in SAMPLINGS:
            raise unknown("sampling", self.sampling, SAMPLINGS)
        check_decoder(self.decoder)
        if not 0 <= self.min_readable <= 1:
            raise ValueError(f"min_readable = {self.min_readable}: expected a share, 0 to 1.")

    @classmethod
    def of(
        cls, source: InputLike, *, sampling: str = "dense", decoder: str = "pyav", min_readable: float = MIN_READABLE
    ) -> "ClipSpec":
        """The clips that a network was made for.

        Args:
            source: ``model.input``, or anything with its fields.
            sampling: as above.
            decoder: as above.
            min_readable: as above.

        Returns:
            The spec.
        """
        fields: dict[str, Any] = {name: getattr(source, name) for name in ("frames", "stride", "size", "resize")}
        fields |= {name: getattr(source, name) for name in ("mean", "std", "modality", "interpolation")}
        return cls(**fields, sampling=sampling, decoder=decoder, min_readable=min_readable)

    @property
    def channels(self) -> int:
        """Channels of a clip."""
        return CHANNELS[self.modality]

    @property
    def crop(self) -> tuple[int, int]:
        """Height and width of a frame as the network gets it, px."""
        return as_pair(self.size)

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width that frames of different sizes are brought to before anything else, px."""
        return self.resize if isinstance(self.resize, tuple) else self.crop

    def describe_frames(self) -> str:
        """Which frames make a clip, e.g. ``16 frames x 4`` (every fourth), or ``8 frames, one from each part``."""
        if self.sampling == "segments":
            return f"{counted(self.frames, 'frame')}, one from each part"
        return f"{counted(self.frames, 'frame')} x {self.stride}"

    def describe_picture(self) -> str:
        """The size of its frames and how they were resized: ``112 x 112 px (short side 128 before the crop), area``."""
        height, width = self.crop
        resized = self.resize if isinstance(self.resize, tuple) else (self.resize,)
        before = " x ".join(map(str, resized)) if len(resized) > 1 else f"short side {resized[0]}"
        cut = "" if resized == (height, width) or self.resize == self.size else f" ({before} before the crop)"
        return f"{height} x {width} px{cut}, {self.interpolation}"

    def train_frames(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Frame numbers of a random clip of a video.

        Args:
            length: frames of the video.
            rng: draws the clip.

        Returns:
            int64 (frames,).
        """
        if self.sampling == "dense":
            return dense_clip(length, self.frames, self.stride, rng)
        return uniform_segments(length, self.frames, rng)

    def test_frames(self, length: int, clips: int) -> np.ndarray:
        """Frame numbers of the clips that a video is tested on; nothing is random.

        Args:
            length: frames of the video.
            clips: how many, spread evenly; with ``segments`` there is only one.

        Returns:
            int64 (clips, frames).
        """
        if self.sampling == "dense":
            return test_clips(length, self.frames, self.stride, clips)
        return uniform_segments(length, self.frames, None)[None]

    def shortage(self, length: int) -> str:
        """Why a video gives some of its frames more than once.

        Args:
            length: Frames of the video.

        Returns:
            A sentence; empty where it does not.
        """
        return shortage(length, self.frames, self.stride, self.sampling)


def as_pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a size given as one side or as both.

    Args:
        size: The side in px, or (height, width).

    Returns:
        (height, width) in px.
    """
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
