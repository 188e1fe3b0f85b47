"""A task without videos for the engine's tests: points in two classes, a network with batch norm and dropout."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from specvid.datasets.clips.samplers import EpochSampler
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.feed import TrainFeed
from specvid.pipelines.engine.task import Selection

LENGTH, WIDTH = 24, 6


class Points(Dataset):
    """Random points, new ones in each epoch; those whose number is in ``unreadable`` come with an error.

    Each third is read in another way than the others, and says so.
    """

    def __init__(self, unreadable: tuple[int, ...] = ()) -> None:
        self.unreadable = unreadable

    def __len__(self) -> int:
        return LENGTH

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        x = np.random.default_rng([0, epoch, index]).normal(size=WIDTH).astype(np.float32)
        error = f"point{index}: unreadable" if index in self.unreadable else ""
        repeated = "" if index % 3 else f"point{index}: short"
        item = {"x": torch.from_numpy(x), "label": int(x.sum() > 0), "index": index}
        return {**item, "error": error, "repeated": repeated}


class ToyTask:
    """Counts what the loop does with it in ``seen`` and ``evaluated``."""

    forward_methods = ()
    selection = Selection("score", True, "highest score of the toy")

    def __init__(
        self, config: EngineConfig, *, rank: int = 0, world: int = 1, unreadable: tuple[int, ...] = ()
    ) -> None:
        sampler = EpochSampler(LENGTH, seed=config.seed, rank=rank, world=world, drop_last=True)
        self.feed = TrainFeed(Points(unreadable), sampler, config=config, world=world)
        self.seen: list[list[int]] = []
        self.evaluated: list[float] = []

    def loss(self, model: nn.Module, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        self.seen.append(batch["index"].tolist())
        logits = model(batch["x"])
        right = logits.argmax(1) == batch["label"]
        return F.cross_entropy(logits, batch["label"]), {"accuracy": right.float().mean()}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        assert not model.training
        with torch.no_grad():
            score = model(torch.eye(WIDTH, dtype=next(model.parameters()).dtype)).sum().item()
        self.evaluated.append(score)
        return {"score": score}

    def meta(self) -> Mapping[str, Any]:
        return {"task": "toy"}


def toy_model(*, norm: bool = True, dropout: float = 0.3) -> nn.Module:
    """The same weights each time."""
    torch.manual_seed(7)
    middle = [nn.BatchNorm1d(8)] if norm else []
    return nn.Sequential(nn.Linear(WIDTH, 8), *middle, nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 2))
