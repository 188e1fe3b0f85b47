"""What can be set about training a person re-identifier. Light to import: the command line reads it."""

import re
from dataclasses import dataclass, field
from typing import Literal

from specvid.pipelines.engine.config import EngineConfig

Dataset = Literal["mars", "ilids-vid", "prid2011", "tracklets"]
TestSampling = Literal["all", "even", "first"]


@dataclass(frozen=True)
class TrackletConfig:
    """Which tracklets are read, and how."""

    dataset: Dataset = "mars"
    """Layout of the data set; `tracklets` is a folder or table of one's own."""
    data: str = ""
    """Its folder, or its table."""
    split: int = 1
    """Split: trained on its identities to train on, scored on its identities to test on."""
    val_fraction: float = 0.0
    """Share of the identities to train on that is held out to select best/; 0 = none."""
    frames: int = 8
    """Frames of a clip, and of a chunk in testing."""
    height: int = 256
    """Of a frame as the network gets it, px."""
    width: int = 128
    """Of a frame, px."""
    zoom: float = 1.125
    """Training frames are brought to so many times the size, then a random window of it is cut out; 1 = no crop."""
    flip: float = 0.5
    """Probability of mirroring a training clip."""
    jitter: float = 0.0
    """Strength of colour jitter, 0 to 1."""
    erase: float = 0.5
    """Probability of random erasing: the same rectangle in all frames of a clip."""
    identities: int = 8
    """P: identities in a batch; the batch has P x K clips."""
    tracklets: int = 4
    """K: tracklets of each of them."""
    repeats: int = 1
    """How many times everybody comes in an epoch."""

    def __post_init__(self) -> None:
        if not 0 <= self.val_fraction < 1:
            raise ValueError(f"val_fraction {self.val_fraction} must lie in [0, 1).")
        for name in ("frames", "height", "width", "identities", "tracklets", "repeats"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1.")
        if self.zoom < 1:
            raise ValueError(f"zoom {self.zoom} must be at least 1: a window is cut out of the enlarged frame.")


@dataclass(frozen=True)
class ReidNetConfig:
    """The network."""

    model: str = "resnet50"
    """Backbone; `specvid models` lists them. Image networks run per frame, blocks see all frames of the clip."""
    blocks: str = ""
    """Blocks to insert: block[(option=value, ...)]@place[, ...]."""
    weights: str = ""
    """Weights to start from: a file, or published ones (DEFAULT, imagenet)."""
    last_stride: Literal[1, 2] | None = None
    """Stride of the last stage of resnet50 or mobilenet_v2; 1 is usual in re-identification."""
    pooling: Literal["mean", "max", "attention"] = "mean"
    """Over the frames of a clip."""
    neck: Literal["bnneck", "none"] = "bnneck"
    """bnneck: the triplet loss sees features before, classifier and test after a batch norm without shift."""
    embedding_dim: int | None = None
    """Project features to so many dimensions; if not given, the backbone's own."""
    dropout: float = 0.0
    """Before the classifier."""


@dataclass(frozen=True)
class ReidLossConfig:
    """The loss: classifier + triplet x batch-hard triplet + centre x centre loss."""

    label_smoothing: float = 0.1
    """Share of the target spread over all identities."""
    triplet: float = 1.0
    """Weight of the batch-hard triplet loss."""
    margin: float = 0.3
    """Of the triplet loss; 0 = the soft margin log(1 + exp(.))."""
    centre: float = 0.0
    """Weight of the centre loss; 5e-4 is usual."""

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing {self.label_smoothing} must lie in [0, 1).")
        for name in ("triplet", "margin", "centre"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)} must not be negative.")


@dataclass(frozen=True)
class ReidConfig:
    """One training of a person re-identifier."""

    name: str = ""
    """Folder of the run inside `runs`; made from the settings if not given."""
    runs: str = "runs"
    """Where runs lie."""
    resume: Literal["never", "auto"] = "never"
    """auto: continue the run of this name if it was started, else start it."""
    test_sampling: TestSampling = "all"
    """Frames of a test tracklet: all in chunks, evenly spaced ones, or the first of each segment."""
    tracklets: TrackletConfig = field(default_factory=TrackletConfig)
    net: ReidNetConfig = field(default_factory=ReidNetConfig)
    loss: ReidLossConfig = field(default_factory=ReidLossConfig)
    train: EngineConfig = field(default_factory=lambda: EngineConfig(batch_size=32))

    def __post_init__(self) -> None:
        if self.name and not re.fullmatch(r"[\w.+=@-]+", self.name):
            raise ValueError(f"name {self.name!r} must be a plain folder name (letters, digits, . _ + = @ -).")
        batch = self.tracklets.identities * self.tracklets.tracklets
        if self.train.batch_size != batch:
            raise ValueError(
                f"batch_size {self.train.batch_size} must be identities x tracklets = {self.tracklets.identities} x "
                f"{self.tracklets.tracklets} = {batch}."
            )

    @property
    def default_name(self) -> str:
        """A name made of what matters: data set, split, model, blocks, seed."""
        blocks = re.sub(r"[^\w.]+", "-", self.net.blocks).strip("-") or "bare"
        parts = (self.tracklets.dataset, f"s{self.tracklets.split}", self.net.model, blocks, f"seed{self.train.seed}")
        return "-".join(parts)
