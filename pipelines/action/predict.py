"""Naming what happens in video files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.layouts.ucf101 import VideoRecord
from specvid.eval.classification import average_views
from specvid.pipelines.action.data import views_of
from specvid.pipelines.action.scores import view_logits
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.recogniser import Recogniser


@dataclass(frozen=True)
class Prediction:
    """``classes``: (name, probability) of the most probable classes, best first; ``error``: why there are none;
    ``note``: why frames come more than once, for a video shorter than the clip.
    """

    path: str
    classes: tuple[tuple[str, float], ...] = ()
    error: str = ""
    note: str = ""


def predict(
    videos: Sequence[str | Path],
    recogniser: Recogniser,
    *,
    top: int = 5,
    clips: int = 10,
    crops: int = 1,
    engine: EngineConfig | None = None,
) -> Iterator[Prediction]:
    """The ``top`` classes of each file in the order given, softmax averaged over ``clips`` x ``crops`` views.

    ``recogniser``: `specvid.pipelines.recogniser.of_run` or ``of_model``. A file that cannot be read gives a prediction
    with an ``error``; the others go on.
    """
    if top < 1:
        raise ValueError(f"top {top} must be at least 1.")
    engine = engine or EngineConfig()
    fabric = make_fabric(engine)
    model = recogniser.model
    fabric.to_device(model)  # in place
    spec = ClipSpec.of(model.input, sampling=recogniser.sampling, decoder=recogniser.decoder)
    clips = 1 if recogniser.sampling == "segments" else clips
    records = [VideoRecord(Path(video), str(video), -1) for video in videos]
    views = views_of(records, spec, clips=clips, crops=crops)
    loader = DataLoader(
        views, batch_size=None, num_workers=min(engine.workers, len(records)), generator=torch.Generator()
    )
    for item in loader:
        path = str(videos[item["index"]])
        if item["error"]:
            yield Prediction(path, error=item["error"].removeprefix(f"{path}: "))
            continue
        probabilities = average_views(view_logits(fabric, model, item["video"], engine.batch_size))
        best = np.argsort(-probabilities, kind="stable")[:top]
        classes = tuple((recogniser.classes[i], float(probabilities[i])) for i in best)
        yield Prediction(path, classes, note=item["short"])
