"""What can be set about embedding videos. Light to import: the command line parses its options with it."""

import re
from dataclasses import dataclass, field
from typing import Literal

from specvid.errors import unknown


@dataclass(frozen=True)
class NetChoice:
    """The network, and what is taken from it."""

    run: str = ""
    """Folder of a trained run."""
    checkpoint: Literal["last", "best"] = "last"
    """Which epoch of the run."""
    model: str = ""
    """Backbone, instead of a run (`specvid models` lists them); or a shared folder, or owner/name on the Hub."""
    blocks: str = ""
    """Blocks to insert into it."""
    weights: str = ""
    """Weights of the backbone: a file, or published ones (DEFAULT, kinetics400, imagenet)."""
    classes: int | None = None
    """Size of its classifier; only --feature logits needs one."""
    feature: str = "penultimate"
    """penultimate: the embedding before the classifier; logits; block:NAME: mean of the output of a module."""
    seed: int = 0
    """Draws the weights where none are given."""
    frames: int | None = None
    """Frames of a clip; the network's own if not given."""
    stride: int | None = None
    """Distance of the clip's frames in frames of the video."""
    size: int | None = None
    """Side of the square crop, px."""
    resize: int | None = None
    """Short side before the crop, px."""

    def __post_init__(self) -> None:
        if self.run and self.model:
            raise ValueError(f"run {self.run!r} and model {self.model!r} exclude each other: a run brings its own.")
        given = [name for name in ("blocks", "weights", "classes") if getattr(self, name)]
        if self.run and given:
            raise ValueError(f"{', '.join(given)} cannot be set with --run {self.run!r}: a run brings its own.")
        if self.feature not in ("penultimate", "logits") and not re.fullmatch(r"block:\S+", self.feature):
            raise unknown("feature", self.feature, ("penultimate", "logits", "block:NAME"))


@dataclass(frozen=True)
class WindowChoice:
    """Which stretches of a video are embedded, and of which clips."""

    window: Literal["whole", "sliding", "uniform"] = "whole"
    """whole: clips side by side over all of it; sliding: stretches of --length; uniform: --clips clips, spread."""
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
    fps: float = 25.0
    """Frames per second of folders of images."""
    decoder: Literal["decord", "pyav", "torchcodec"] = "decord"
    """Video decoder."""

    def __post_init__(self) -> None:
        for name in ("length", "every"):
            if text := getattr(self, name):
                if self.window != "sliding":
                    raise ValueError(f"{name} {text!r} belongs to --window sliding, not to {self.window}.")
                parse_span(name, text)
        if self.clips < 1:
            raise ValueError(f"clips {self.clips} must be at least 1.")
        if self.clips > 1 and self.window != "uniform":
            raise ValueError(f"clips {self.clips} belongs to --window uniform, not to {self.window}.")
        if not self.fps > 0:
            raise ValueError(f"fps {self.fps} must be greater than 0.")

    @property
    def per_window(self) -> bool:
        """Whether each window has a row of its own."""
        return self.rows == "window" or (self.rows == "auto" and self.window == "sliding")


@dataclass(frozen=True)
class OutputChoice:
    """What is written."""

    dtype: Literal["fp32", "fp16"] = "fp32"
    """Of the embedding."""
    l2: bool = False
    """Scale each embedding to unit length."""
    shard_size: int = 512
    """Videos per Parquet file; a kill costs at most the work on one such file."""
    npz: bool = False
    """Also write embeddings.npz."""

    def __post_init__(self) -> None:
        if self.shard_size < 1:
            raise ValueError(f"shard_size {self.shard_size} must be at least 1.")


@dataclass(frozen=True)
class RunChoice:
    """How it is computed."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Autocast of the network."""
    batch_size: int = 0
    """Clips at a time; 0: 4 on the CPU, 32 on a GPU. Always filled up: so a file's bytes do not depend on others."""
    workers: int = 2
    """Decoding processes; 0 decodes in the main one."""
    timeout: float = 600.0
    """Seconds after which a decoder that gives nothing is given up."""
    engine: Literal["local", "ray"] = "local"
    """local: this process, or those of torchrun; ray: actors on a Ray cluster."""
    actors: int = 1
    """Ray actors."""
    retry_errors: bool = False
    """Do the shards again in which something failed."""
    overwrite: bool = False
    """Throw away what stands in the folder, if it was embedded otherwise."""

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 0), ("workers", 0), ("actors", 1), ("timeout", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} {getattr(self, name)} must be at least {least}.")


@dataclass(frozen=True)
class EmbedConfig:
    """One embedding of a list of videos."""

    net: NetChoice = field(default_factory=NetChoice)
    windows: WindowChoice = field(default_factory=WindowChoice)
    output: OutputChoice = field(default_factory=OutputChoice)
    running: RunChoice = field(default_factory=RunChoice)


def parse_span(name: str, text: str) -> tuple[float, str]:
    """``"2.5s"`` -> (2.5, "s"); ``"64"`` -> (64, "") in frames. ``ValueError`` for anything else or nothing."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s?)", text.strip())
    if not match or float(match[1]) <= 0 or (not match[2] and not float(match[1]).is_integer()):
        raise ValueError(f"{name} {text!r} must be seconds, e.g. 2.5s, or a whole number of frames, e.g. 64.")
    return float(match[1]), match[2]
