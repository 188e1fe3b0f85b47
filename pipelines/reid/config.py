"""What can be set about training and scoring a person re-identifier. Light to import: the command line reads it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from specvid.config import require_at_least
from specvid.modality import Interpolation, check_interpolation
from specvid.pipelines.engine.config import ClipsConfig, EngineConfig, EvaluationConfig, NetConfig, TrainingConfig

if TYPE_CHECKING:
    from specvid.eval.reid.rerank import KReciprocal


@dataclass(frozen=True)
class ReidClipsConfig(ClipsConfig):
    """Which tracklets are read, and how."""

    dataset: Literal["mars", "ilids-vid", "prid2011", "tracklets"] = "mars"
    """Layout of the data set; `tracklets` is a folder or table of one's own."""
    data: str = ""
    """Its folder, or its table."""
    split: int = 1
    """Split: trained on its identities to train on, scored on its identities to test on."""
    val_fraction: float = 0.0
    """Share of the identities to train on that is held out to select best/; 0 = none."""
    erase: float = 0.5
    """Probability of random erasing: the same rectangle in all frames of a clip."""
    frames: int = 8
    """Frames of a clip, and of a chunk in testing."""
    height: int = 256
    """Of a frame as the network gets it, px."""
    width: int = 128
    """Of a frame, px."""
    interpolation: Interpolation | None = None
    """How frames are resized to it: bilinear, area, bicubic; the backbone's own if not given."""
    zoom: float = 1.125
    """Training frames are brought to so many times the size, then a random window of it is cut out; 1 = no crop."""
    identities: int = 8
    """P: identities in a batch; the batch has P x K clips."""
    tracklets: int = 4
    """K: tracklets of each of them."""
    repeats: int = 1
    """How many times everybody comes in an epoch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, frames=1, height=1, width=1, identities=1, tracklets=1, repeats=1)
        check_interpolation(self.interpolation or "bilinear", "rgb")
        if self.zoom < 1:
            raise ValueError(f"zoom {self.zoom} must be at least 1: a window is cut out of the enlarged frame.")


@dataclass(frozen=True)
class ReidNetConfig(NetConfig):
    """The network."""

    model: str = "resnet50"
    """Backbone; `specvid models` lists them. Image networks run per frame, blocks see all frames of the clip."""
    last_stride: Literal[1, 2] | None = None
    """Stride of the last stage of resnet50 or mobilenet_v2; 1 is usual in re-identification."""
    pooling: Literal["mean", "max", "attention"] = "mean"
    """Over the frames of a clip."""
    neck: Literal["bnneck", "none"] = "bnneck"
    """bnneck: the triplet loss sees features before, classifier and test after a batch norm without shift."""
    embedding_dim: int | None = None
    """Project features to so many dimensions; if not given, the backbone's own."""


@dataclass(frozen=True)
class ReidLossConfig:
    """The loss: classifier + triplet x batch-hard triplet + centre x centre loss."""

    label_smoothing: float = 0.1
    """Share of the target spread over all identities."""
    triplet: float = 1.0
    """Weight of the batch-hard triplet loss."""
    margin: float = 0.3
    """Of the triplet loss; 0 = the soft margin log(1 + exp(.))."""
    triplet_mean: Literal["active", "all"] = "active"
    """Mean over the triplets that do not keep the margin yet (pytorch-metric-learning), or over all (torchreid)."""
    centre: float = 0.0
    """Weight of half the mean squared distance to the centres; TransReID's 5e-4, without the half, is 1e-3 here."""

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing {self.label_smoothing} must lie in [0, 1).")
        for name in ("triplet", "margin", "centre"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)} must not be negative.")


@dataclass(frozen=True)
class ReidConfig(TrainingConfig):
    """One training of a person re-identifier."""

    task: ClassVar[str] = "reid"

    clips: ReidClipsConfig = field(default_factory=ReidClipsConfig)
    net: ReidNetConfig = field(default_factory=ReidNetConfig)
    loss: ReidLossConfig = field(default_factory=ReidLossConfig)
    train: EngineConfig = field(default_factory=lambda: EngineConfig(batch_size=32))
    test_sampling: Literal["all", "even", "first"] = "all"
    """Frames of a test tracklet: all in chunks, evenly spaced ones, or the first of each segment."""

    def __post_init__(self) -> None:
        super().__post_init__()
        clips, batch = self.clips, self.clips.identities * self.clips.tracklets
        if self.train.batch_size != batch:
            raise ValueError(
                f"batch_size {self.train.batch_size} must be identities x tracklets = {clips.identities} x "
                f"{clips.tracklets} = {batch}."
            )


@dataclass(frozen=True)
class UntrainedConfig:
    """A network that is scored as its weights are, without a run."""

    model: str = ""
    """Backbone (`specvid models`), a shared folder, or owner/name on the Hub."""
    blocks: str = ""
    """Blocks to insert into the backbone."""
    weights: str = ""
    """Weights of the backbone: a file, or published ones (DEFAULT, imagenet)."""
    frames: int | None = None
    """Frames of a chunk; the network's own if not given."""
    height: int | None = None
    """Of a frame as the network gets it, px; the network's own if not given."""
    width: int | None = None
    """Of a frame, px."""
    interpolation: Interpolation | None = None
    """How frames are resized to it: bilinear, area, bicubic; the network's own if not given."""

    def __post_init__(self) -> None:
        check_interpolation(self.interpolation or "bilinear", "rgb")

    @property
    def title(self) -> str:
        """What it is: the model, its blocks and where its weights come from."""
        blocks = f" with {self.blocks}" if self.blocks else ""
        return f"{self.model}{blocks}" + (f", weights {self.weights}" if self.weights else "")


@dataclass(frozen=True)
class ReidEvaluationConfig(EvaluationConfig):
    """How a run, or a file of features, is scored."""

    data: str = ""
    """Folder of the data set, if it moved or is another one."""
    dataset: Literal["", "mars", "ilids-vid", "prid2011", "tracklets"] = ""
    """Layout of another data set than the one that was trained on."""
    protocol: str = ""
    """Which; the data set's own if not given."""
    all_protocols: bool = False
    """MARS's three side by side."""
    metric: Literal["cosine", "euclidean"] = "cosine"
    """Of files of features; those of runs have unit length, where both rank alike."""
    rerank: bool = False
    """k-reciprocal re-ranking."""
    k1: int = 20
    """Neighbours that may be reciprocal."""
    k2: int = 6
    """Neighbours of the local query expansion."""
    lambda_value: float = 0.3
    """Weight of the original distance."""
    test_sampling: Literal["", "all", "even", "first"] = ""
    """Frames of a tracklet; the run's own if not given."""
    flip_test: bool = False
    """Mean of the frames and their mirror images."""

    def __post_init__(self) -> None:
        if self.dataset and not self.data:
            raise ValueError(f"--dataset {self.dataset} needs --data DIR: where that data set lies.")

    def reranking(self) -> "KReciprocal | None":
        """How the ranking is refined; None for not at all."""
        from specvid.eval.reid.rerank import KReciprocal

        return KReciprocal(self.k1, self.k2, self.lambda_value) if self.rerank else None
