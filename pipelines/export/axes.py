"""Which axes of a clip may vary, and why the others may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from specvid.models.video_model import VideoModel

NAMES = {"batch": 0, "time": 2, "height": 3, "width": 4}
"""Axis of (B, C, T, H, W)."""
INPUTS = {
    "clip": NAMES,
    "frames": {"batch": 0, "time": 1, "height": 2, "width": 3},
    "images": {"batch": 0, "height": 2, "width": 3},
    "pixels": {"batch": 0, "height": 1, "width": 2},
}
"""Axes of the inputs: a normalised clip (B, C, T, H, W), or frames uint8 (B, T, H, W, C); of single images
(B, C, H, W), or uint8 (B, H, W, C)."""
IMAGES = ("images", "pixels")
BYTES = ("frames", "pixels")


class AxisError(Exception):
    """Something works at the size a program was captured with, but not at another size of an axis.

    Args:
        axis: its name.
        why: in a few words.
    """

    def __init__(self, axis: str, why: str) -> None:
        super().__init__(f"{axis}: {why}")
        self.axis, self.why = axis, why


@dataclass(frozen=True)
class Axes:
    """The axes of a clip.

    Args:
        sizes: (B, C, T, H, W) of the clip that a program is captured with.
        fixed: the axes that must keep these sizes, and why.
        input: which of `INPUTS` the program takes.
    """

    sizes: tuple[int, int, int, int, int]
    fixed: Mapping[str, str]
    input: str = "clip"

    @property
    def places(self) -> Mapping[str, int]:
        """Where the axes are in the input."""
        return INPUTS[self.input]

    @property
    def dynamic(self) -> list[str]:
        """Names of the axes that may vary."""
        return [name for name in NAMES if name not in self.fixed]

    def fix(self, axis: str, why: str) -> Axes:
        """The same axes with one more of them fixed; height and width go together.

        Args:
            axis: which.
            why: the reason, for the user.

        Returns:
            The axes.
        """
        both = ("height", "width") if axis in ("height", "width") else (axis,)
        return Axes(self.sizes, {**self.fixed, **dict.fromkeys(both, why)}, self.input)

    def probes(self) -> dict[str, tuple[int, ...]]:
        """Sizes to compare at: the captured ones (``""``), and others for each axis that may vary, as odd as can be."""
        batch, channels, time, height, width = self.sizes
        other = {
            "batch": (1, channels, time, height, width),
            "time": (batch if "batch" in self.fixed else batch + 1, channels, time + 3, height, width),
            "height": (batch, channels, time, height + 9, width + 5),
        }
        return {"": self.sizes, **{name: sizes for name, sizes in other.items() if name not in self.fixed}}

    def named(self) -> dict[str, str | int]:
        """For each axis its name where it may vary, else its size."""
        return {name: name if name not in self.fixed else self.sizes[axis] for name, axis in NAMES.items()}

    def shape(self) -> list[str | int]:
        """The input's shape, with names where it may vary."""
        named, channels = self.named(), self.sizes[1]
        batch, *others = (named[name] for name in self.places)
        return [batch, *others, channels] if self.input in BYTES else [batch, channels, *others]

    def lines(self, shortest: int) -> list[str]:
        """What varies and what does not, as text.

        Args:
            shortest: least number of frames.

        Returns:
            A line for each axis.
        """
        least = f", from {shortest} frames up" if shortest > 1 else ""
        return [
            f"{name}: always {size}, because {self.fixed[name]}"
            if name in self.fixed
            else f"{name}: may vary{least if name == 'time' else ''}"
            for name, size in self.named().items()
            if name in self.places
        ]


def axes_of(
    model: VideoModel,
    *,
    frames: int | None,
    height: int | None,
    width: int | None,
    input: str = "clip",
    batch: int | None = None,
    fix_size: bool = False,
) -> Axes:
    """The axes of a model before anything is captured: two clips, where their number may vary.

    Args:
        model: the model.
        frames: of the clips; the model's own if not given.
        height: in px; the model's own if not given.
        width: in px; the model's own if not given.
        input: which of `INPUTS` the program takes.
        batch: the only number of clips that it is to take.
        fix_size: whether it is to take this height and width alone.

    Returns:
        The axes, of which those are fixed that the model was built for, or that are to be.
    """
    own_height, own_width = model.input.crop
    frames = 1 if input in IMAGES else frames
    sizes = (batch or 2, model.input.channels, frames or model.input.frames, height or own_height, width or own_width)
    built = {"frames": ("time",), "size": ("height", "width")}
    fixed = {
        axis: f"the network was built for it ({option}=...)"
        for name, option in model.fixed.items()
        for axis in built.get(name, ())
    }
    if input in IMAGES:
        fixed["time"] = "an image is one frame"
    if sizes[NAMES["time"]] == 1:
        fixed.setdefault("time", "a graph of one frame holds for one alone (--frames 2, or more, lets it vary)")
    if 1 in sizes[NAMES["height"] :]:
        fixed = {**dict.fromkeys(("height", "width"), "a graph of one pixel holds for one alone"), **fixed}
    if batch is not None:
        fixed["batch"] = "--batch says so"
    if fix_size:
        fixed |= dict.fromkeys(("height", "width"), "--fix-size says so")
    return Axes(sizes, fixed, input)
