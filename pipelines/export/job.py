"""One export: open, capture, write aside, compare, and only then give the file its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specvid.models.video_model import VideoModel
from specvid.pipelines.embed.network import hash_weights, open_choice
from specvid.pipelines.export.axes import Axes, AxisError, axes_of
from specvid.pipelines.export.capture import capture, draw_inputs
from specvid.pipelines.export.check import TOLERANCE, Comparison, compare, shortest_clip
from specvid.pipelines.export.config import SUFFIXES, ExportConfig
from specvid.pipelines.export.facts import facts_of, how_to_feed
from specvid.pipelines.export.formats import WRITERS, require_onnx
from specvid.pipelines.export.network import Exportable, choose_feature


@dataclass(frozen=True)
class Exported:
    """The file ``path``, what it says of itself, and how it compared with the model.

    ``shortest``: the least number of frames it takes.
    """

    path: Path
    to: str
    facts: Mapping[str, Any]
    axes: Axes
    comparisons: list[Comparison]
    shortest: int

    def text(self) -> str:
        """What to print: the file, its axes, the comparison, how to feed it."""
        with_ = f" with {self.facts['model']['blocks']}" if self.facts["model"]["blocks"] else ""
        size = self.path.stat().st_size / 1e6
        return "\n".join(
            [
                f"{self.path} ({size:.1f} MB): {self.facts['output']} of {self.facts['model']['name']}{with_}",
                *(f"  {line}" for line in self.axes.lines(self.shortest)),
                f"deviates from the model by (share of the largest number, at most {TOLERANCE:.0e} is accepted)",
                *(f"  {comparison}" for comparison in self.comparisons),
                how_to_feed(self.facts, self.path, self.to),
            ]
        )


def export(config: ExportConfig, *, tell: Callable[[str], None] = lambda text: None) -> Exported:
    """Exports as ``config`` says; ``tell`` gets a line on what takes long.

    Raises ``ValueError``, and leaves no file, for a wrong run, model or size, an extra that is not installed, a model
    that cannot be captured, and a file that gives other numbers than the model.
    """
    path = _path(config)
    if config.to == "onnx":
        require_onnx()
    model, meta = open_choice(config.choice())
    if not (config.run or config.weights):
        tell(f"no weights are given: those of seed {config.seed} are exported")
    return export_model(
        model,
        path,
        to=config.to,
        feature=config.feature,
        frames=config.frames,
        height=config.height,
        width=config.width,
        mask=config.mask,
        device=config.device,
        classes=meta.get("classes", ()),
        tell=tell,
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
    device: str = "cpu",
    classes: tuple[str, ...] | list[str] = (),
    tell: Callable[[str], None] = lambda text: None,
) -> Exported:
    """Exports a model that is at hand; the options are those of `ExportConfig`, ``classes`` names its logits.

    Errors as `export`.
    """
    path = Path(path)
    feature = choose_feature(model, feature)
    network = Exportable(model, feature).to(device)
    axes = axes_of(model, frames=frames, height=height, width=width)
    inputs = draw_inputs(axes.sizes, mask=mask, device=device)
    more = {
        "dim": model.num_classes if feature == "logits" else model.embedding_dim,
        "weights": hash_weights(model),
        "tolerance": TOLERANCE,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.stem}.writing{path.suffix}")
    try:
        while True:
            tell(f"capturing; may vary: {', '.join(axes.dynamic) or 'nothing'}")
            facts = facts_of(model, axes, feature=feature, mask=mask, classes=classes, more=more)
            try:
                program = capture(network, axes, inputs)
                runner = WRITERS[to](program, staging, inputs=inputs, axes=axes, output=feature, facts=facts)
                comparisons = compare(network, runner, axes, mask=mask, device=device)
            except AxisError as error:
                axes = axes.fix(error.axis, error.why)
                continue
            break
        shortest = shortest_clip(network, runner, axes, mask=mask, device=device)
        del runner
        with staging.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(staging, path)
    finally:
        staging.unlink(missing_ok=True)
    return Exported(path, to, facts, axes, comparisons, shortest)


def _path(config: ExportConfig) -> Path:
    suffix = SUFFIXES[config.to]
    if not (config.run or config.model):
        raise ValueError("no model is given: name a trained RUN, or --model NAME [--weights FILE].")
    path = Path(config.out or f"{Path(config.run).resolve().name if config.run else config.model}{suffix}")
    if path.suffix != suffix:
        raise ValueError(f"out {config.out!r} must end with {suffix}, as --to {config.to} is asked for.")
    if path.is_dir():
        raise ValueError(f"out {config.out!r} is a folder; give the name of a file in it.")
    return path
