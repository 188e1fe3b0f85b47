"""A model run over test views: each process takes a share, every clip is scored once, all processes get all scores."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.progress import track
from torch import nn
from torch.utils.data import DataLoader

from specvid.datasets.clips.samplers import ShardSampler
from specvid.datasets.clips.transforms import TestTransform
from specvid.datasets.clips.videos import TestViews
from specvid.eval.classification import average_views
from specvid.pipelines.engine.gather import gather_rows
from specvid.pipelines.engine.log import console


@dataclass(frozen=True)
class ClipScores:
    """``probabilities`` (N, C), float64: softmax averaged over the views; a row of NaN where a clip has none.

    ``errors``: per clip, why it has none; empty where all is well. ``short``: per clip, why it has frames more than
    once; empty for all but videos shorter than the clip.
    """

    probabilities: np.ndarray
    errors: list[str]
    short: list[str]


def score_views(
    fabric: Fabric,
    model: nn.Module,
    views: TestViews,
    *,
    classes: int,
    batch_size: int = 16,
    workers: int = 2,
    title: str = "scoring",
) -> ClipScores:
    """Scores the clips of ``views`` with the bare ``model`` (on its device, in eval mode), ``batch_size`` at once."""
    shard = ShardSampler(len(views), rank=fabric.global_rank, world=fabric.world_size)
    views_per_clip = views.clips * cast(TestTransform, views.transform).crops
    loader = DataLoader(
        views,
        batch_size=max(1, batch_size // views_per_clip),
        sampler=shard,
        num_workers=workers,
        pin_memory=fabric.device.type == "cuda",
        generator=torch.Generator(),
    )
    quiet = not (fabric.is_global_zero and console.is_terminal)
    rows: list[tuple[int, tuple[np.ndarray, str, str]]] = []
    for batch in track(loader, title, console=console, disable=quiet, transient=True):
        logits_nc = view_logits(fabric, model, batch["video"].flatten(0, 1), batch_size)
        logits_bvc = logits_nc.reshape(len(batch["index"]), views_per_clip, -1)
        told = (batch["index"].tolist(), logits_bvc, batch["error"], batch["short"])
        for index, logits_vc, error, short in zip(*told, strict=True):
            if not error and not np.isfinite(logits_vc).all():
                error = f"{views.records[index].path}: the model's logits are not finite"
            rows.append((index, (np.full(classes, np.nan) if error else average_views(logits_vc), error, short)))
    gathered = gather_rows(fabric, rows, len(views))
    rows_nc, errors, shorts = zip(*gathered, strict=True)
    return ClipScores(np.stack(rows_nc), list(errors), list(shorts))


@torch.inference_mode()
def view_logits(fabric: Fabric, model: nn.Module, views: torch.Tensor, batch_size: int) -> np.ndarray:
    """Logits (N, C), float32, of views (N, 3, T, H, W), ``batch_size`` at a time."""
    with fabric.autocast():
        parts = [model(fabric.to_device(part)).float().cpu() for part in views.split(batch_size)]
    return torch.cat(parts).numpy()
