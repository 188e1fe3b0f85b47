"""What can be set about embedding videos. Light to import: the command line parses its options with it."""

import re
from dataclasses import dataclass, field
from typing import Literal

from specvid.config import require_at_least, require_share
from specvid.errors import unknown
from specvid.pipelines.engine.config import ComputeConfig
from specvid.pipelines.networks.config import InputConfig, NetworkConfig


@dataclass(frozen=True)
class WindowConfig:
    """Which time spans of a video are embedded, and from which clips."""

    window: Literal["full", "sliding", "uniform"] = "full"
    """full: clips side by side over all of the video; sliding: spans of --length; uniform: --clips clips, spread."""
    length: str = ""
    """Of a sliding window: seconds (2.5s) or frames (64); one clip if not given."""
    every: str = ""
    """From one sliding window to the next: seconds (1s) or frames (32); half the length if not given."""
    clips: int = 1
    """Number of uniform clips."""
    rows: Literal["auto", "video", "window"] = "auto"
    """One row a video (the mean) or a window; auto: window for sliding, else video."""
    sampling: Literal["auto", "dense", "segments"] = "auto"
    """Clips of frames --stride apart, or one of each of equal parts; auto: as the run was trained, else dense."""
    fps: float | None = None
    """Frames per second of folders of images and of tracklets; without it their rows have no times."""
    decoder: Literal["pyav", "torchcodec"] = "pyav"
    """Video decoder."""
    min_readable: float = 0.9
    """Share of a video's wanted frames that must decode; the nearest ones replace the others, with a warning."""

    def __post_init__(self) -> None:
        for name in ("length", "every"):
            if text := getattr(self, name):
                if self.window != "sliding":
                    raise ValueError(f"{name} {text!r} belongs to --window sliding, not to {self.window}.")
                parse_span(name, text)
        require_at_least(self, clips=1)
        if self.clips > 1 and self.window != "uniform":
            raise ValueError(f"clips {self.clips} belongs to --window uniform, not to {self.window}.")
        if self.fps is not None and not self.fps > 0:
            raise ValueError(f"fps {self.fps} must be greater than 0.")
        require_share(self.min_readable)

    @property
    def row_per_window(self) -> bool:
        """Whether each window has a row of its own."""
        return self.rows == "window" or (self.rows == "auto" and self.window == "sliding")


@dataclass(frozen=True)
class OutputConfig:
    """What is written."""

    feature: str = "penultimate"
    """penultimate: the embedding before the classifier; logits; block:NAME: mean of the output of a module."""
    dtype: Literal["fp32", "fp16"] = "fp32"
    """Of the embedding."""
    l2: bool = False
    """Scale each embedding to unit length."""
    shard_size: int = 512
    """Videos per Parquet file; a kill costs at most the work on one such file."""
    npz: bool = False
    """Also write embeddings.npz."""

    def __post_init__(self) -> None:
        if self.feature not in ("penultimate", "logits") and not re.fullmatch(r"block:\S+", self.feature):
            raise unknown("feature", self.feature, ("penultimate", "logits", "block:NAME"))
        require_at_least(self, shard_size=1)


@dataclass(frozen=True)
class JobConfig(ComputeConfig):
    """How it is computed."""

    batch_size: int = 0
    """Clips at a time; 0: 4 on the CPU, 32 on a GPU. Always filled up: so a file's bytes do not depend on others."""
    timeout: float = 600.0
    """Seconds after which a decoder that gives nothing is given up."""
    engine: Literal["local", "ray"] = "local"
    """local: this process, or those of torchrun; ray: actors on a Ray cluster."""
    actors: int = 1
    """Ray actors."""
    retry_errors: bool = False
    """Do the shards again in which something failed."""
    append: bool = False
    """Add the inputs that are not in the folder yet to it, as shards of their own."""
    overwrite: bool = False
    """Throw away what stands in the folder, if it was embedded otherwise."""

    def __post_init__(self) -> None:
        require_at_least(self, batch_size=0, workers=0, actors=1, timeout=1)
        if self.append and self.overwrite:
            raise ValueError(
                "append and overwrite exclude each other: add to what stands in the folder, or throw it away."
            )


@dataclass(frozen=True)
class EmbedConfig:
    """One embedding of a list of videos."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    input: InputConfig = field(default_factory=InputConfig)
    windows: WindowConfig = field(default_factory=WindowConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    job: JobConfig = field(default_factory=JobConfig)


def parse_span(name: str, text: str) -> tuple[float, str]:
    """A length of time in seconds or frames.

    Args:
        name: the setting it belongs to.
        text: ``2.5s`` or ``64``.

    Returns:
        The number, and its unit: ``s``, or nothing for frames.

    Raises:
        ValueError: it is neither, or not greater than 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s?)", text.strip())
    if not match or float(match[1]) <= 0 or (not match[2] and not float(match[1]).is_integer()):
        raise ValueError(f"{name} {text!r} must be seconds, e.g. 2.5s, or a whole number of frames, e.g. 64.")
    return float(match[1]), match[2]
