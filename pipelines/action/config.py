"""What can be set about training and scoring an action recogniser. Light to import: the command line reads it."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from specvid.config import require_at_least, require_share
from specvid.modality import Interpolation, Modality, check_interpolation, require_colours
from specvid.pipelines.engine.config import ClipsConfig, EvaluationConfig, TrainingConfig

Dataset = Literal[
    "ucf101", "hmdb51", "kinetics", "something-v1", "something-v2", "diving48", "jester", "folders", "table"
]


@dataclass(frozen=True)
class ActionClipsConfig(ClipsConfig):
    """Which clips are read, and how."""

    dataset: Dataset = "ucf101"
    """Layout of the data set; `folders` and `table` are for clips of one's own."""
    split: int = 1
    """Official split: trained on its train list, scored on its test list."""
    test_fraction: float = 0.0
    """Own clips without a test part: share of each class's groups to test on; the split is the draw."""
    groups: str = ""
    """Own clips: which are cut from one source, as a table (path, group) or a regular expression with ( )."""
    val_fraction: float = 0.0
    """Share of each class's train groups that is held out to select best/; 0 = none."""
    balance: Literal["none", "sampler", "loss"] = "none"
    """Classes with few clips: drawn as often as the others, or counted as much in the loss."""
    decoder: Literal["pyav", "torchcodec"] = "pyav"
    """Video decoder."""
    min_readable: float = 0.9
    """Share of a clip's frames that must decode; the nearest ones stand in for the others, and that is counted."""
    modality: Modality = "rgb"
    """What the network sees: frames; optical flow (images of it, else computed); differences of frames."""
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
    interpolation: Interpolation | None = None
    """How frames are resized: bilinear, area (which the decoder does), bicubic; the backbone's own if not given."""
    crop: Literal["random", "resized", "multiscale"] = "random"
    """How the training crop is chosen."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share(self.min_readable)
        require_colours(self.modality, self.jitter)
        check_interpolation(self.interpolation or "bilinear", self.modality)


@dataclass(frozen=True)
class ActionConfig(TrainingConfig):
    """One training of an action recogniser."""

    task: ClassVar[str] = "action"

    clips: ActionClipsConfig = field(default_factory=ActionClipsConfig)
    label_smoothing: float = 0.0
    """Share of the target spread over all classes."""
    mixup: float = 0.0
    """Beta parameter of mixup; 0 = none."""
    test_clips: int = 1
    """Clips per video at the final test."""
    test_crops: Literal[1, 3, 5, 10] = 1
    """Crops per clip at the final test."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing {self.label_smoothing} must lie in [0, 1).")
        if self.mixup != 0 and not 0.001 <= self.mixup <= 1000:  # else draws of the beta distribution are no numbers
            raise ValueError(f"mixup {self.mixup} must be 0 (none), or from 0.001 to 1000; 0.2 is usual.")
        require_at_least(self, test_clips=1)


@dataclass(frozen=True)
class ActionEvaluationConfig(EvaluationConfig):
    """How a run is scored."""

    clips: int | None = None
    """Clips per video; 10 if not given (1 for runs that sample segments)."""
    crops: Literal[1, 3, 5, 10] = 1
    """Crops per clip."""
    fuse: Literal["none", "mean", "geometric"] = "none"
    """Late fusion of several runs on one split: mean of their probabilities, or of the logarithms."""
    out: str = ""
    """Folder for the fused result; beside the first run if not given."""
    min_readable: float | None = None
    """Share of the frames of a video's clips that must decode; as it was trained if not given."""

    def __post_init__(self) -> None:
        if self.clips is not None:
            require_at_least(self, clips=1)
        if self.min_readable is not None:
            require_share(self.min_readable)
