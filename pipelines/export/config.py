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
    half: bool = False
    """Weights and computing in float16; what goes in and comes out stays float32 (or uint8)."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where it is captured and compared."""

    def __post_init__(self) -> None:
        given = {name: 1 for name in ("frames", "height", "width") if getattr(self, name) is not None}
        require_at_least(self, **given)
