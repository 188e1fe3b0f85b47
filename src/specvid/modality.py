"""What a network sees of a video: its frames, the motion between them, or their differences; resized how."""

from typing import Literal

from specvid.errors import unknown

Modality = Literal["rgb", "flow", "rgb-diff"]
Interpolation = Literal["bilinear", "area", "bicubic"]

CHANNELS: dict[str, int] = {"rgb": 3, "flow": 2, "rgb-diff": 3}
"""Channels of a clip: red, green, blue; displacement to the right and downwards; differences of red, green, blue."""

DESCRIPTIONS: dict[str, str] = {
    "rgb": "RGB",
    "flow": "optical flow x, y from each frame to the next",
    "rgb-diff": "RGB of the next frame minus RGB of the frame",
}
"""The same in words, for reports."""

INTERPOLATIONS: dict[str, str] = {
    "bilinear": "bilinear, as OpenCV's INTER_LINEAR on uint8, without antialiasing",
    "area": "means of the pixels inside, as OpenCV's INTER_AREA (of videos, about: by FFmpeg); bilinear to enlarge",
    "bicubic": "bicubic, antialiased, as PIL's BICUBIC on uint8",
}
"""How frames are resized, in words."""


def require_colours(modality: str, jitter: float, grey: float = 0.0) -> None:
    """Check that colours are changed where there are some.

    Args:
        modality: what clips show.
        jitter: strength of the changes.
        grey: probability of taking the colours out.

    Raises:
        ValueError: clips of motion would be changed.
    """
    if jitter and modality != "rgb":
        raise ValueError(f"jitter {jitter} changes colours, and clips of modality {modality!r} have none: --jitter 0.")
    if grey and modality != "rgb":
        raise ValueError(f"grey {grey} takes colours out, and clips of modality {modality!r} have none: --grey 0.")


def check_interpolation(interpolation: str, modality: str) -> None:
    """Check how frames are resized.

    Args:
        interpolation: one of ``INTERPOLATIONS``.
        modality: what clips show.

    Raises:
        ValueError: there is no such interpolation, or frames would be resized before flow is measured in their pixels.
    """
    if not isinstance(interpolation, str) or interpolation not in INTERPOLATIONS:
        raise unknown("interpolation", str(interpolation), INTERPOLATIONS)
    if interpolation != "bilinear" and modality == "flow":
        raise ValueError(
            f"interpolation {interpolation!r} resizes frames before flow is computed, which is measured in px of them: "
            "--interpolation bilinear."
        )
