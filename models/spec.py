"""What a backbone is, and which clips it takes: plain frozen data, no behaviour beyond checking itself.

torch is imported where a network is changed, not before: the list of backbones is read without it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from specvid.errors import unknown
from specvid.modality import CHANNELS, Interpolation, Modality, check_interpolation
from specvid.models.formats import FIRST, FeatureFormat, FormatRule

if TYPE_CHECKING:
    from torch import Tensor, nn

    from specvid.models.text_tower import TextTower

KINETICS_MEAN, KINETICS_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_MOST_FRAMES = 100_000  # of a clip, and between two of its frames
_MOST_NUMBERS = 2**29  # of a clip, 2 GiB
_LARGEST = 1e6  # of a mean or deviation; pixels are 0 to 1, or 0 to 255
_LEAST = 1e-6  # of a deviation


def _is_whole(value: object) -> bool:
    """Whether something is an integer of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    """Whether something is a number, and none that only stands for a mistake (NaN, 1e300)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


@dataclass(frozen=True)
class InputSpec:
    """The clip a backbone was designed for: what a data pipeline must deliver.

    Attributes:
        frames: Clip length in frames.
        stride: Distance of consecutive frames of the clip, in frames of the video.
        size: Side of the square crop in px, or (height, width).
        resize: Length of the short side in px before the crop, or (height, width).
        mean: Of the channels, on pixel values in [0, 1].
        std: Likewise.
        modality: What the network sees: frames (``rgb``), optical flow (``flow``, 2 channels), or the differences of
            consecutive frames (``rgb-diff``).
        interpolation: How frames are resized: ``bilinear``, ``area`` (which decoders do) or ``bicubic``.

    Raises:
        ValueError: A field has no such value.
    """

    frames: int
    stride: int
    size: int | tuple[int, int]
    resize: int | tuple[int, int]
    mean: tuple[float, ...] = KINETICS_MEAN
    std: tuple[float, ...] = KINETICS_STD
    modality: Modality = "rgb"
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        if self.modality not in CHANNELS:
            raise unknown("modality", str(self.modality), CHANNELS)
        check_interpolation(self.interpolation, self.modality)
        for name in ("size", "resize", "mean", "std"):  # lists come from JSON
            value = getattr(self, name)
            if isinstance(value, (list, tuple)):
                object.__setattr__(self, name, tuple(value))
                wanted = self.channels if name in ("mean", "std") else 2
                if len(value) != wanted:
                    raise ValueError(f"input: {name} is {value!r}; it takes {wanted} numbers")
        for name in ("frames", "stride"):
            value = getattr(self, name)
            if not _is_whole(value) or value > _MOST_FRAMES:
                raise ValueError(f"input: {name} is {value!r}; it must be an integer, 1 to {_MOST_FRAMES:,}")
        for name in ("size", "resize"):
            value = getattr(self, name)
            sides = value if isinstance(value, tuple) else (value, value)
            if not all(map(_is_whole, sides)):
                raise ValueError(f"input: {name} is {value!r}; it must be one or two integers of pixels >= 1")
            if self.frames * self.channels * sides[0] * sides[1] > _MOST_NUMBERS:
                raise ValueError(
                    f"input: {self.frames} frames of {name} {value!r} are more than the {_MOST_NUMBERS:,} numbers that "
                    "a clip may have"
                )
        for name, least in (("mean", -_LARGEST), ("std", _LEAST)):
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(_is_number(number) and number >= least for number in value):
                rule = f"from {_LEAST:g}" if name == "std" else f"from {-_LARGEST:,.0f}"
                raise ValueError(
                    f"input: {name} is {value!r}; it takes {self.channels} numbers {rule} to {_LARGEST:,.0f}"
                )

    @property
    def channels(self) -> int:
        """Channels of a clip."""
        return CHANNELS[self.modality]

    def shape(self, dims: int, clips: int = 1) -> tuple[int, ...]:
        """Shape of what a backbone takes.

        Args:
            dims: 3 of a video network, 2 of an image network, which takes the frames of all clips as images.
            clips: B.

        Returns:
            (B, C, T, H, W), or (B·T, C, H, W).
        """
        if dims == 3:
            return (clips, self.channels, self.frames, *self.crop)
        return (clips * self.frames, self.channels, *self.crop)

    @property
    def crop(self) -> tuple[int, int]:
        """Height and width of the crop in pixels."""
        return self.size if isinstance(self.size, tuple) else (self.size, self.size)

    def override(self, changes: Mapping[str, Any]) -> InputSpec:
        """A copy with some fields replaced.

        Another modality brings its own mean and std, if none are given: optical flow in [-1, 1], as Inception-I3D takes
        it; differences of frames so that they are differences of normalised frames.

        Args:
            changes: By field, e.g. ``{"size": (256, 128)}``.

        Returns:
            The copy.

        Raises:
            ValueError: A field is unknown, or has no such value.
        """
        names = [f.name for f in fields(self)]
        for name in changes:
            if name not in names:
                raise unknown("input field", name, names)
        modality = changes.get("modality", self.modality)
        if modality == self.modality or modality not in CHANNELS:
            return replace(self, **changes)
        if self.modality != "rgb":
            raise ValueError(f"input: modality is {self.modality!r}; build the network anew for {modality!r}")
        half = (0.5,) * CHANNELS[modality]
        std = half if modality == "flow" else tuple(number / 2 for number in self.std)
        return replace(self, **{"mean": half, "std": std, **changes})


@dataclass(frozen=True)
class Pretrained:
    """Published weights.

    Attributes:
        url: Where they lie.
        data: What they were trained on.
        licence: Under which they come.
        modality: What they saw of it.
    """

    url: str
    data: str
    licence: str
    modality: Modality = "rgb"


@dataclass(frozen=True, eq=False)
class OwnWeights:
    """Weights that a backbone's name brings along (a folder, a checkpoint of the Hub): its module has them already.

    Attributes:
        source: Where they are from.
        classifier: ``weight`` (classes, E) and ``bias`` (classes) of the classifier that came with them; empty: none.
        classes: What its logits are called; empty where nothing says so.
    """

    source: str
    classifier: Mapping[str, Tensor] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BackboneConfig:
    """Arguments of `specvid.create_model` that build a backbone again: JSON-able.

    Attributes:
        name: Of the backbone.
        options: Its options.
        input: Changes to its `InputSpec`.
    """

    name: str
    options: Mapping[str, Any]
    input: Mapping[str, Any]


@dataclass(frozen=True)
class Backbone:
    """A network without its classifier, and what the rest of specvid needs to know of it.

    Attributes:
        module: Maps (B, C, T, H, W) to (B, feature_dim, T', H', W') when ``dims`` is 3, C = ``input.channels``; when
            ``dims`` is 2 it is an image network, (N, C, H, W) to (N, feature_dim, H', W'), and `VideoModel` runs it per
            frame. Parameter names are those of the published checkpoints (an ``nn.Sequential`` with named children
            keeps them and makes every stage a place for blocks).
        feature_dim: Channels of the features.
        input: The clips it was designed for.
        dims: 2 or 3.
        aliases: Short names of places, e.g. the papers' ``res4`` for torchvision's ``layer3``.
        classifier: Name of the classifier layer in published checkpoints (``fc`` for ``fc.weight`` and ``fc.bias``).
        window: The (time, height, width) window that the original slides, with stride 1, over the features before its
            classifier, where it does not simply average over all positions.
        pretrained: Published weights by name (``kinetics400``, ``imagenet``); the first one is also ``DEFAULT``.
        formats: Where features do not lie channels first, and where no block can stand (`specvid.models.formats`).
        output_format: How ``module`` gives its features, if not channels first.
        tail: What the original does between its features and its classifier, if not averaging alone (a class token, a
            norm after pooling, a hidden layer): maps what ``module`` gives to (N, tail_dim), N = B·T frames, of an
            image network, and (B, tail_dim) or (B, tail_dim, T') of a video network; time is pooled after it. Its
            parameters bear the published names too.
        tail_dim: Length of the vectors that it gives.
        fixed: Fields of ``input`` for whose value alone the network was built (a position table, a shift over so many
            frames), each with the option that sets it: ``{"frames": "num_segments"}``.
        config: Name, options and input that build it again, where those given name a file that may be gone or different
            by then.
        own: The weights that its name brings along; None where it is randomly initialised.
        text: The text tower that was trained with it; None where there is none.

    Raises:
        ValueError: ``dims`` is neither, or one of ``tail`` and ``tail_dim`` is missing.
    """

    module: nn.Module
    feature_dim: int
    input: InputSpec
    dims: int = 3
    aliases: Mapping[str, str] = field(default_factory=dict)
    classifier: str = "fc"
    window: tuple[int, int, int] | None = None
    pretrained: Mapping[str, Pretrained] = field(default_factory=dict)
    formats: tuple[FormatRule, ...] = ()
    output_format: FeatureFormat = FIRST
    tail: nn.Module | None = None
    tail_dim: int | None = None
    fixed: Mapping[str, str] = field(default_factory=dict)
    config: BackboneConfig | None = None
    own: OwnWeights | None = None
    text: TextTower | None = None

    @property
    def vector_dim(self) -> int:
        """Length of the vector that the head gets."""
        return self.feature_dim if self.tail_dim is None else self.tail_dim

    def __post_init__(self) -> None:
        if (self.tail is None) != (self.tail_dim is None):
            raise ValueError("backbone: tail and tail_dim belong together; give both or none")
        if self.dims not in (2, 3):
            raise ValueError(f"backbone: dims is {self.dims!r}; it must be 2 (image network) or 3 (video network)")

    def with_input(self, changes: Mapping[str, Any]) -> Backbone:
        """A copy that wants other clips.

        Args:
            changes: By field of `InputSpec`.

        Returns:
            The copy, with the same module, which is changed in place where clips get another number of channels.

        Raises:
            ValueError: A field is unknown, or fixed at another value, or the module cannot take so many channels.
        """
        spec = self.input.override(changes)
        for name, option in self.fixed.items():
            if getattr(spec, name) != getattr(self.input, name):
                raise ValueError(
                    f"input: {name} is {getattr(spec, name)!r}, but this network was built for "
                    f"{getattr(self.input, name)!r} and takes nothing else; build it with {option}=..."
                )
        if spec.channels != self.input.channels:
            from specvid.models.channels import change_channels

            change_channels(self.module, spec.channels)
        return replace(self, input=spec)


def stack(network: nn.Module, *names: str) -> nn.Sequential:
    """Some children of a network, run one after the other under their own names, so that its checkpoints load.

    Args:
        network: The network.
        *names: Of the children, in order.

    Returns:
        A new container of them.
    """
    from torch import nn

    return nn.Sequential(OrderedDict((name, network.get_submodule(name)) for name in names))
