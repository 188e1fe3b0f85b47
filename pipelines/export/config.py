"""What can be set about an export. Light to import: the command line parses its options with it."""

from dataclasses import dataclass
from typing import Literal

from tyro.conf import Positional

from specvid.pipelines.embed.config import NetChoice

SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2"}


@dataclass(frozen=True)
class ExportConfig:
    """One export of one model."""

    run: Positional[str] = ""
    """Folder of a trained run."""
    to: Literal["onnx", "torch-export"] = "onnx"
    """Format."""
    out: str = ""
    """File to write; NAME.onnx or NAME.pt2 here if not given."""
    checkpoint: Literal["last", "best"] = "last"
    """Which epoch of the run."""
    model: str = ""
    """Backbone, instead of a run; `specvid models` lists them."""
    blocks: str = ""
    """Blocks to insert into it."""
    weights: str = ""
    """Its weights: a file, or published ones (DEFAULT, kinetics400, imagenet)."""
    classes: int | None = None
    """Size of its classifier; only --feature logits needs one."""
    seed: int = 0
    """Draws the weights where none are given."""
    feature: Literal["auto", "logits", "embedding"] = "auto"
    """What the file gives; auto: logits of a model with a classifier, else the embedding."""
    frames: int | None = None
    """Frames of the clip it is captured with; the model's own if not given."""
    height: int | None = None
    """Height of that clip, px."""
    width: int | None = None
    """Width of that clip, px."""
    mask: bool = False
    """A second input says which frames are real, (batch, time) bool."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where it is captured and compared."""

    def __post_init__(self) -> None:
        for name in ("frames", "height", "width", "classes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} {value} must be at least 1.")
        self.choice()

    def choice(self) -> NetChoice:
        """The network, as `specvid embed` chooses it. ``ValueError`` where run and model are both given."""
        feature = "logits" if self.feature == "logits" else "penultimate"
        net = {name: getattr(self, name) for name in ("run", "checkpoint", "model", "blocks", "weights", "classes")}
        return NetChoice(**net, feature=feature, seed=self.seed)
