"""What a network sees of a video: its frames, the motion between them, or their differences."""

from typing import Literal

Modality = Literal["rgb", "flow", "rgb-diff"]

CHANNELS: dict[str, int] = {"rgb": 3, "flow": 2, "rgb-diff": 3}
"""Channels of a clip: red, green, blue; displacement to the right and downwards; differences of red, green, blue."""

DESCRIPTIONS: dict[str, str] = {
    "rgb": "RGB",
    "flow": "optical flow x, y from each frame to the next",
    "rgb-diff": "RGB of the next frame minus RGB of the frame",
}
"""The same in words, for reports."""


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
