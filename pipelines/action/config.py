"""What can be set about training an action recogniser. Light to import: the command line parses its options with it."""

import re
from dataclasses import dataclass, field
from typing import Literal

from specvid.pipelines.engine.config import EngineConfig


@dataclass(frozen=True)
class ClipConfig:
    """Which clips are read, and how."""

    dataset: Literal["ucf101"] = "ucf101"
    """Layout of the data set."""
    data: str = ""
    """Its folder."""
    split: int = 1
    """Official split: trained on its train list, scored on its test list."""
    val_fraction: float = 0.0
    """Share of each class's train groups that is held out to select best/; 0 = none."""
    decoder: Literal["decord", "pyav", "torchcodec"] = "decord"
    """Video decoder."""
    sampling: Literal["dense", "segments"] = "dense"
    """Consecutive frames, stride apart, or one frame from each of equal parts."""
    frames: int | None = None
    """Frames of a clip; the backbone's own if not given."""
    stride: int | None = None
    """Distance of the clip's frames in frames of the video."""
    size: int | None = None
    """Side of the square crop, px."""
    resize: int | None = None
    """Short side before the crop, px; if only size is given, in the backbone's proportion to it."""
    crop: Literal["random", "resized", "multiscale"] = "random"
    """How the training crop is chosen."""
    flip: float = 0.5
    """Probability of mirroring a training clip."""
    jitter: float = 0.0
    """Strength of colour jitter, 0 to 1."""
    erase: float = 0.0
    """Probability of random erasing."""

    def __post_init__(self) -> None:
        if not 0 <= self.val_fraction < 1:
            raise ValueError(f"val_fraction {self.val_fraction} must lie in [0, 1).")


@dataclass(frozen=True)
class NetConfig:
    """The network."""

    model: str = "r3d_18"
    """Backbone; `specvid models` lists them."""
    blocks: str = ""
    """Blocks to insert: block[(option=value, ...)]@place[, ...]."""
    weights: str = ""
    """Weights to start from: a file, or published ones (DEFAULT, kinetics400, imagenet)."""
    dropout: float = 0.0
    """Before the classifier."""


@dataclass(frozen=True)
class ActionConfig:
    """One training of an action recogniser."""

    name: str = ""
    """Folder of the run inside `runs`; made from the settings if not given."""
    runs: str = "runs"
    """Where runs lie."""
    resume: Literal["never", "auto"] = "never"
    """auto: continue the run of this name if it was started, else start it."""
    label_smoothing: float = 0.0
    """Share of the target spread over all classes."""
    mixup: float = 0.0
    """Beta parameter of mixup; 0 = none."""
    test_clips: int = 1
    """Clips per video at the final test."""
    test_crops: Literal[1, 3, 5, 10] = 1
    """Crops per clip at the final test."""
    clips: ClipConfig = field(default_factory=ClipConfig)
    net: NetConfig = field(default_factory=NetConfig)
    train: EngineConfig = field(default_factory=EngineConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing {self.label_smoothing} must lie in [0, 1).")
        if self.mixup < 0:
            raise ValueError(f"mixup {self.mixup} must not be negative; 0.2 is usual, 0 is none.")
        if self.test_clips < 1:
            raise ValueError(f"test_clips {self.test_clips} must be at least 1.")
        if self.name and not re.fullmatch(r"[\w.+=@-]+", self.name):
            raise ValueError(f"name {self.name!r} must be a plain folder name (letters, digits, . _ + = @ -).")

    @property
    def default_name(self) -> str:
        """A name made of what matters: data set, split, model, blocks, seed."""
        blocks = re.sub(r"[^\w.]+", "-", self.net.blocks).strip("-") or "bare"
        parts = (self.clips.dataset, f"s{self.clips.split}", self.net.model, blocks, f"seed{self.train.seed}")
        return "-".join(parts)
