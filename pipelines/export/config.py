"""What can be set about an export. Light to import: the command line parses its options with it."""

from dataclasses import dataclass, field
from typing import Literal

from specvid.config import require_at_least
from specvid.pipelines.networks.config import NetworkConfig

SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2"}


@dataclass(frozen=True)
class ExportConfig:
    """One export of one model."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    to: Literal["onnx", "torch-export"] = "onnx"
    """Format."""
    out: str = ""
    """File to write; NAME.onnx or NAME.pt2 here if not given."""
    feature: Literal["auto", "logits", "embedding"] = "auto"
    """What the file gives; auto: logits of a model with a classifier, else the embedding."""
    frames: int | None = None
    """Frames of the clip it is captured with; the model's own if not given."""
    height: int | None = None
    """Height of that clip, px."""
    width: int | None = None
    """Width of that clip, px."""
    mask: bool = False
    """A second input marks the real frames, (batch, time) bool."""
    with_preprocessing: bool = False
    """The file takes cropped frames, uint8 (batch, time, height, width, channels), and normalises them itself."""
    images: bool = False
    """Of an image network: the file takes single images, (batch, channels, height, width), as trackers feed it."""
    l2: bool = False
    """Embeddings of unit length."""
    batch: int | None = None
    """The one batch size that the file takes; any if not given."""
    fix_size: bool = False
    """The file takes the height and width alone that it is captured with."""
    half: bool = False
    """Weights and computing in float16; what goes in and comes out stays float32 (or uint8)."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where it is captured and compared."""

    def __post_init__(self) -> None:
        given = {name: 1 for name in ("frames", "height", "width", "batch") if getattr(self, name) is not None}
        require_at_least(self, **given)
        if self.l2 and self.feature == "logits":
            raise ValueError("l2 is for embeddings, and --feature logits is given: leave one of them out.")
        if self.images and (self.mask or self.frames is not None):
            what = "mask" if self.mask else f"frames {self.frames}"
            raise ValueError(f"{what} is for clips of several frames, and --images takes single ones: leave one out.")
