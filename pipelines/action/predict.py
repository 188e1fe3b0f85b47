"""Naming what happens in video files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

from specvid.datasets.decode import MIN_READABLE
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.eval.classification import average_views
from specvid.pipelines.action.data import make_views
from specvid.pipelines.action.evaluate import view_logits
from specvid.pipelines.engine.config import ComputeConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.layout import for_inference
from specvid.pipelines.engine.loading import load, loader_options
from specvid.pipelines.networks.finite import why_not_finite
from specvid.pipelines.networks.opening import OpenedNetwork
from specvid.text import path_on_one_line


@dataclass(frozen=True)
class Prediction:
    """What happens in a video.

    Args:
        path: the file.
        classes: (name, probability) of the most probable classes, best first.
        decided: where a clip may have several classes: those that reach their thresholds.
        error: why there are none.
        warning: why frames come more than once, and what is not as the file's header announces.
    """

    path: str
    classes: tuple[tuple[str, float], ...] = ()
    decided: tuple[str, ...] = ()
    error: str = ""
    warning: str = ""


def predict(
    videos: Sequence[str | Path],
    network: OpenedNetwork,
    *,
    top: int = 5,
    clips: int = 10,
    crops: int = 1,
    min_readable: float = MIN_READABLE,
    compute: ComputeConfig | None = None,
) -> Iterator[Prediction]:
    """Name what happens in video files.

    Args:
        videos: the files.
        network: opened with ``classifier=True``.
        top: how many classes to name.
        clips: of each file, spread evenly; softmax is averaged over all views.
        crops: of each clip.
        min_readable: share of the frames of a file's clips that must decode; the nearest ones stand in for the others.
        compute: device, precision, batch size and workers.

    Yields:
        A prediction for each file, in the order given. One of a file that cannot be read has an ``error``.

    Raises:
        ValueError: ``top`` is less than 1, or the network has no weights, no finite ones, or no names of classes.
    """
    if top < 1:
        raise ValueError(f"top {top} must be at least 1.")
    if not network.trained:
        name = network.model.config["name"]
        raise ValueError(f"weights are not given: --model {name} needs --weights FILE, or DEFAULT for published ones.")
    if not network.classes:
        raise ValueError(f"the network is of the task {network.metadata.get('task')!r}: it names no classes.")
    multilabel = bool(network.metadata.get("multilabel"))
    thresholds = np.array(network.metadata.get("thresholds") or [0.5] * len(network.classes))
    compute = compute or ComputeConfig()
    fabric = make_fabric(compute)
    model = for_inference(fabric, network.model)
    clip = replace(network.clip, min_readable=min_readable)
    records = [VideoRecord(Path(video), str(video), -1) for video in videos]
    views = make_views(records, clip, clips=1 if clip.sampling == "segments" else clips, crops=crops)
    options = loader_options(min(compute.workers, len(records)))
    numbers = range(len(records))
    items = load(lambda done, _: DataLoader(views, batch_size=None, sampler=numbers[done:], **options), views.guard)
    for item in items:
        path = str(videos[item["index"]])
        if item["error"]:
            begin = f"{path_on_one_line(records[item['index']].path)}: "
            yield Prediction(path, error=item["error"].removeprefix(begin))
            continue
        logits = view_logits(fabric, model, item["video"], compute.batch_size)
        if why := why_not_finite(logits, model):
            yield Prediction(path, error=why)
            continue
        probabilities = average_views(logits, multilabel=multilabel)
        best = np.argsort(-probabilities, kind="stable")[:top]
        classes = tuple((network.classes[i], float(probabilities[i])) for i in best)
        decided = tuple(network.classes[i] for i in np.flatnonzero(probabilities >= thresholds)) if multilabel else ()
        yield Prediction(path, classes, decided, warning="; ".join(filter(None, (item["repeated"], item["unusual"]))))
