"""What can be set about training a network without labels. Light to import: the command line reads it."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from specvid.config import require_at_least, require_share
from specvid.modality import Interpolation, Modality, check_interpolation, require_colours
from specvid.pipelines.engine.config import ClipsConfig, EngineConfig, TrainingConfig

ReidDataset = Literal["mars", "ilids-vid", "prid2011", "tracklets"]
Dataset = Literal[
    "videos", "ucf101", "hmdb51", "kinetics", "something-v1", "something-v2", "diving48", "jester", "folders", "table",
    ReidDataset,
]  # fmt: skip


@dataclass(frozen=True)
class PretrainClipsConfig(ClipsConfig):
    """Which videos or tracklets are read, and how their clips are augmented. Labels are not used."""

    dataset: Dataset = "videos"
    """`videos` is any folder of them, at any depth; of a data set with labels its training part is taken."""
    split: int = 1
    """Official split, of whose training part alone is learned."""
    test_fraction: float = 0.0
    """Own clips without a test part: share of each class's groups to leave out, as `train action` tests on them."""
    groups: str = ""
    """Own clips: which are cut from one source, as a table (path, group) or a regular expression with ( )."""
    decoder: Literal["pyav", "torchcodec"] = "pyav"
    """Video decoder."""
    min_readable: float = 0.9
    """Share of a clip's frames that must decode; the nearest ones stand in for the others, and that is counted."""
    modality: Modality = "rgb"
    """What the network sees: frames; optical flow (images of it, else computed); differences of frames."""
    sampling: Literal["dense", "segments"] = "dense"
    """Consecutive frames, stride apart, or one frame from each of equal parts; of tracklets always the latter."""
    frames: int | None = None
    """Frames of a clip; the backbone's own if not given."""
    stride: int | None = None
    """Distance of the clip's frames in frames of the video."""
    size: int | None = None
    """Side of the square crop, px."""
    height: int | None = None
    """Of a frame as the network gets it, px, with `width` instead of `size`; 256 of tracklets if nothing is given."""
    width: int | None = None
    """Of a frame, px; 128 of tracklets if nothing is given."""
    interpolation: Interpolation | None = None
    """How frames are resized: bilinear, area (which the decoder does), bicubic; the backbone's own if not given."""
    min_area: float = 0.3
    """Least share of the frame's area that a crop is cut from."""
    flip: float = 0.5
    """Probability of mirroring a clip."""
    jitter: float = 0.4
    """Strength of colour jitter, 0 to 1."""
    grey: float = 0.2
    """Probability of taking the colours out."""
    blur: float = 0.5
    """Probability of a Gaussian blur."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share(self.min_readable)
        require_colours(self.modality, self.jitter, self.grey)
        check_interpolation(self.interpolation or "bilinear", self.modality)
        if self.val_fraction:
            raise ValueError(f"val_fraction {self.val_fraction}: without labels nothing is validated. Leave it out.")
        if not 0 < self.min_area <= 1:
            raise ValueError(f"min_area {self.min_area} must lie in (0, 1].")
        if (self.height is None) != (self.width is None):
            raise ValueError(f"height {self.height} and width {self.width} belong together: give both.")
        if self.size is not None and self.height is not None:
            raise ValueError(f"size {self.size} and height {self.height} exclude each other: give one of them.")

    @property
    def is_reid(self) -> bool:
        """Whether tracklets are read, and not videos."""
        return self.dataset in get_args(ReidDataset)


@dataclass(frozen=True)
class TwinsConfig:
    """The projector, and the loss on what it gives (Barlow Twins)."""

    projector: tuple[int, ...] = (1024, 1024, 1024)
    """Widths of its layers; 8192 8192 8192 in the paper. It is not part of the network that others load."""
    redundancy: float = 5.1e-3
    """Weight of the correlations between different dimensions: the paper's lambda."""

    def __post_init__(self) -> None:
        if not self.projector or min(self.projector) < 1 or self.projector[-1] < 2:
            raise ValueError(
                f"projector {self.projector} must be one width or several, the last one at least 2, e.g. 1024 1024."
            )
        if not self.redundancy >= 0:
            raise ValueError(f"redundancy {self.redundancy} must not be negative; the paper's is 0.0051.")


@dataclass(frozen=True)
class PretrainConfig(TrainingConfig):
    """One training of a network without labels."""

    task: ClassVar[str] = "pretrain"

    clips: PretrainClipsConfig = field(default_factory=PretrainClipsConfig)
    loss: TwinsConfig = field(default_factory=TwinsConfig)
    train: EngineConfig = field(
        default_factory=lambda: EngineConfig(epochs=100, batch_size=64, weight_decay=1e-4, warmup=0.1)
    )
    measured: int = 1000
    """Clips on which the representation is measured at the end, if there are as many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(self, measured=2)
        require_at_least(self.train, batch_size=2)
        if self.train.accumulate > 1:
            raise ValueError(
                f"accumulate {self.train.accumulate} must be 1: the loss is of the whole batch, not a mean over its "
                "clips. Lower --batch-size, or use more --devices, over which it is taken together."
            )

    @property
    def default_name(self) -> str:
        """A name made of what matters, beginning with ``pretrain``."""
        return f"pretrain-{super().default_name}"
