"""One export: open, capture, write aside, compare, and only then give the file its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specvid.files import output_file, replacing_file
from specvid.models.convolutions.spec import kernels_as_products
from specvid.models.video_model import VideoModel
from specvid.pipelines.export.axes import Axes, AxisError, axes_of
from specvid.pipelines.export.capture import Exportable, capture, choose_feature, draw_inputs, require_fits
from specvid.pipelines.export.check import HALF_TOLERANCE, TOLERANCE, Comparison, compare, shortest_clip
from specvid.pipelines.export.config import SUFFIXES, ExportConfig
from specvid.pipelines.export.formats import WRITERS, require_onnx
from specvid.pipelines.export.metadata import file_metadata, how_to_feed
from specvid.pipelines.networks.opening import hash_weights, open_network


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written.

    Attributes:
        path: of the file.
        to: its format.
        metadata: written into the file.
        axes: which of its axes may vary.
        comparisons: how it compared with the model.
        shortest: the least number of frames that it takes.
    """

    path: Path
    to: str
    metadata: Mapping[str, Any]
    axes: Axes
    comparisons: list[Comparison]
    shortest: int

    def text(self) -> str:
        """What to print: the file, its axes, the comparison, how to feed it."""
        with_ = f" with {self.metadata['model']['blocks']}" if self.metadata["model"]["blocks"] else ""
        size, accepted = self.path.stat().st_size / 1e6, self.metadata["tolerance"]
        return "\n".join(
            [
                f"{self.path} ({size:.1f} MB): {self.metadata['output']} of {self.metadata['model']['name']}{with_}",
                *(f"  {line}" for line in self.axes.lines(self.shortest)),
                f"deviates from the model by (share of the largest number, at most {accepted:.0e} is accepted)",
                *(f"  {comparison}" for comparison in self.comparisons),
                how_to_feed(self.metadata, self.path, self.to),
            ]
        )


def export(config: ExportConfig, *, echo: Callable[[str], None] = lambda text: None) -> ExportedFile:
    """Export a model.

    Args:
        config: which one, and how.
        echo: gets a line on what takes long.

    Returns:
        The file.

    Raises:
        ValueError: a wrong run, model or size, an extra that is not installed, a model that cannot be captured, or a
            file that gives other numbers than the model. No file is left then.
    """
    path = _path(config)
    if config.to == "onnx":
        require_onnx()
    opened = open_network(config.network, classifier=config.feature == "logits")
    if not opened.trained:
        echo(f"no weights are given: those of seed {config.network.seed} are exported")
    return export_model(
        opened.model,
        path,
        to=config.to,
        feature=config.feature,
        frames=config.frames,
        height=config.height,
        width=config.width,
        mask=config.mask,
        with_preprocessing=config.with_preprocessing,
        half=config.half,
        images=config.images,
        l2=config.l2,
        batch=config.batch,
        fix_size=config.fix_size,
        device=config.device,
        classes=opened.classes,
        echo=echo,
    )


def export_model(
    model: VideoModel,
    path: str | Path,
    *,
    to: str = "onnx",
    feature: str = "auto",
    frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    mask: bool = False,
    with_preprocessing: bool = False,
    half: bool = False,
    images: bool = False,
    l2: bool = False,
    batch: int | None = None,
    fix_size: bool = False,
    device: str = "cpu",
    classes: tuple[str, ...] | list[str] = (),
    echo: Callable[[str], None] = lambda text: None,
) -> ExportedFile:
    """Export a model that is in memory.

    Args:
        model: the model.
        path: of the file.
        to: ``onnx`` or ``torch-export``.
        feature: ``logits``, ``embedding``, or ``auto``: logits where there is a classifier.
        frames: of the clip it is captured with; the model's own if not given, as are height and width.
        height: of that clip, px.
        width: of that clip, px.
        mask: whether a second input marks the real frames.
        with_preprocessing: the file takes cropped frames, uint8 (B, T, H, W, C), and normalises them.
        half: float16 inside; the file must be within `HALF_TOLERANCE` of the model in float32.
        images: of an image network: the file takes single images, (B, C, H, W), or uint8 (B, H, W, C).
        l2: embeddings of unit length.
        batch: the one batch size that the file takes; any if None.
        fix_size: the file takes the height and width alone that it is captured with.
        device: where it is captured and compared.
        classes: names of its logits.
        echo: gets a line on what takes long.

    Returns:
        The file.

    Raises:
        ValueError: as `export`.
    """
    path = Path(path)
    feature = choose_feature(model, "embedding" if l2 and feature == "auto" else feature)
    if images and model.dims != 2:
        raise ValueError(f"images: {model.config['name']!r} is a video network, which takes clips: leave --images out.")
    own: dict[str, Any] = {"preprocessing": with_preprocessing, "images": images, "l2": l2}
    original = Exportable(model, feature, **own).to(device)
    network = Exportable(model.for_inference(), feature, half=half, **own).to(device)
    input = {(False, False): "clip", (False, True): "frames", (True, False): "images", (True, True): "pixels"}[
        images, with_preprocessing
    ]
    axes = axes_of(model, frames=frames, height=height, width=width, input=input, batch=batch, fix_size=fix_size)
    inputs = draw_inputs(axes.sizes, mask=mask, device=device, input=input)
    require_fits(original, inputs, axes)
    how: dict[str, Any] = {"mask": mask, "device": device, "tolerance": HALF_TOLERANCE if half else TOLERANCE}
    more = {
        "dim": model.num_classes if feature == "logits" else model.embedding_dim,
        "weights": hash_weights(model),
        "tolerance": how["tolerance"],
        "precision": "float16" if half else "float32",
        "l2": l2,
    }
    with replacing_file(path) as staging:
        while True:
            echo(f"capturing; may vary: {', '.join(axes.dynamic) or 'nothing'}")
            metadata = file_metadata(model, axes, feature=feature, mask=mask, classes=classes, more=more)
            try:
                with kernels_as_products(to == "onnx"):
                    program = capture(network, axes, inputs)
                runner = WRITERS[to](program, staging, inputs=inputs, axes=axes, output=feature, metadata=metadata)
                comparisons = compare(original, runner, axes, **how)
            except AxisError as error:
                axes = axes.fix(error.axis, error.why)
                continue
            break
        shortest = shortest_clip(original, runner, axes, **how)
        del runner
    return ExportedFile(path, to, metadata, axes, comparisons, shortest)


def _path(config: ExportConfig) -> Path:
    suffix = SUFFIXES[config.to]
    if not (config.network.run or config.network.model):
        raise ValueError("no model is given: name a trained RUN, or --model NAME [--weights FILE].")
    run, model = config.network.run, config.network.model
    name = config.out or f"{Path(run).resolve().name if run else model}{suffix}"
    if Path(name).suffix != suffix:
        raise ValueError(f"out {name!r} must end with {suffix}, as --to {config.to} is asked for.")
    return output_file("out", name)
