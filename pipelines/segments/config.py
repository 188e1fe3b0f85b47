"""What can be set about segments. Light to import: the command line reads it."""

import re
from dataclasses import dataclass
from typing import Literal

from specvid.pipelines.embed.config import parse_span


@dataclass(frozen=True)
class SegmentConfig:
    """Which time spans of a video are classified, and how they are put together."""

    window: Literal["none", "sliding"] = "none"
    """sliding: classes of each span of --length, with its times; none: of each video."""
    length: str = ""
    """Of a sliding window: seconds (2.5s) or frames (64); one clip if not given."""
    every: str = ""
    """From one sliding window to the next: seconds (1s) or frames (32); half the length if not given."""
    merge: bool = False
    """Put neighbouring windows of one class together."""
    enter: float | None = None
    """With --merge: a class begins where its probability reaches this; 0 if not given: the most probable one always."""
    leave: float | None = None
    """With --merge: a class that has begun goes on while its probability is at least this; as --enter if not given."""
    fps: float | None = None
    """Frames per second of folders of images; without it their segments have no times."""

    def __post_init__(self) -> None:
        for name in ("length", "every"):
            if text := getattr(self, name):
                if self.window != "sliding":
                    raise ValueError(f"{name} {text!r} belongs to --window sliding: add it, or leave --{name} out.")
                parse_span(name, text)
        if self.merge and self.window != "sliding":
            raise ValueError("merge belongs to --window sliding: add it, or leave --merge out.")
        for name in ("enter", "leave"):
            value = getattr(self, name)
            if value is None:
                continue
            if not self.merge:
                raise ValueError(f"{name} {value} belongs to --merge: add it, or leave --{name} out.")
            if not 0 <= value <= 1:
                raise ValueError(f"{name} {value} must be a probability, 0 to 1.")
        if self.leave is not None and self.leave > (self.enter or 0):
            raise ValueError(
                f"leave {self.leave} must be at most enter {self.enter or 0}: a class goes on at what it begins with."
            )
        if self.fps is not None and not self.fps > 0:
            raise ValueError(f"fps {self.fps} must be greater than 0.")


def parse_raw(text: str) -> tuple[int, int, float]:
    """The size and rate of raw frames.

    Args:
        text: ``WxH@FPS``, e.g. ``320x240@25``.

    Returns:
        Width and height in px, frames per second.

    Raises:
        ValueError: it is written otherwise, or a number is 0.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})@(\d+(?:\.\d+)?)", text)
    if not match or not (int(match[1]) and int(match[2]) and float(match[3])):
        raise ValueError(f"stdin {text!r} must be WIDTHxHEIGHT@FPS of the raw frames, e.g. 320x240@25.")
    return int(match[1]), int(match[2]), float(match[3])
