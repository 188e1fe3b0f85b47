"""Which network, and the clips it takes. Light to import: the command line parses its options with it."""

from dataclasses import dataclass
from typing import Any, Literal

from specvid.modality import Interpolation, Modality


@dataclass(frozen=True)
class NetworkConfig:
    """Which network: that of a trained run, or a model and its weights."""

    run: str = ""
    """Folder of a trained run."""
    checkpoint: Literal["last", "best"] = "last"
    """Which epoch of the run."""
    model: str = ""
    """Backbone, instead of a run (`specvid models` lists them); or a shared folder, or owner/name on the Hub."""
    blocks: str = ""
    """Blocks to insert into the backbone."""
    conv: str = ""
    """Convolutions of the backbone to replace, e.g. dcd@layer3."""
    weights: str = ""
    """Weights of the backbone: a file, or published ones (DEFAULT, kinetics400, imagenet)."""
    classes: int | str | None = None
    """Size of the backbone's classifier; where logits are wanted, that of the weights if not given. Or, of a model with
    a text tower, names with commas between them: surfing, push-ups."""
    prompt: str = ""
    """Sentence for a class that is named, with {} for its name; 'a video of {}' if not given."""
    modality: Modality | None = None
    """What the backbone sees of a video: rgb (if not given), flow (optical flow), rgb-diff."""
    seed: int = 0
    """Draws the weights where none are given."""
    trust: bool = False
    """Build the network even where its folder names code of somebody else, which then runs."""

    def __post_init__(self) -> None:
        if self.run and self.model:
            raise ValueError(f"run {self.run!r} and model {self.model!r} exclude each other: a run brings its own.")
        if self.run and self.backbone_settings:
            raise ValueError(
                f"{', '.join(self.backbone_settings)} cannot be set with --run {self.run!r}: a run brings its own."
            )
        if isinstance(self.classes, int) and self.classes < 1:
            raise ValueError(f"classes {self.classes} must be at least 1.")
        if self.prompt and not self.class_names:
            raise ValueError(f"prompt {self.prompt!r} belongs to --classes 'NAME, NAME, ...'.")

    @property
    def backbone_settings(self) -> list[str]:
        """Names of the settings that only a backbone takes, of those that are set."""
        return [name for name in ("blocks", "conv", "weights", "classes", "modality") if getattr(self, name)]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes that are named in words; empty where there are none."""
        return tuple(name.strip() for name in self.classes.split(",")) if isinstance(self.classes, str) else ()

    @property
    def title(self) -> str:
        """What it is, to begin a message with: ``run 'runs/first'`` or ``model 'r3d_18'``."""
        return f"run {self.run!r}" if self.run else f"model {self.model!r}"

    def require(self) -> None:
        """Check that a network is named at all.

        Raises:
            ValueError: neither a run nor a model.
        """
        if not (self.run or self.model):
            raise ValueError("no network is given: --run RUN, or --model NAME [--weights FILE].")


@dataclass(frozen=True)
class InputConfig:
    """Changes to the clips that a network takes; where nothing is given, its own."""

    frames: int | None = None
    """Frames of a clip; the network's own if not given."""
    stride: int | None = None
    """Distance of the clip's frames in frames of the video."""
    size: int | None = None
    """Side of the square crop, px."""
    resize: int | None = None
    """Short side before the crop, px."""
    interpolation: Interpolation | None = None
    """How frames are resized: bilinear, area (which the decoder does), bicubic; as it was trained if not given."""

    def changes(self) -> dict[str, Any]:
        """What is given, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}
