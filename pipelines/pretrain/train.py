"""Training without labels: what one training is made of, from its config to its results.json."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from specvid.models import VideoModel, create_model
from specvid.pipelines.engine import training
from specvid.pipelines.engine.feed import TrainFeed, choose
from specvid.pipelines.engine.gather import gather_rows
from specvid.pipelines.engine.loading import load, loader_options
from specvid.pipelines.engine.task import Batch, Callback, Selection
from specvid.pipelines.engine.training import TrainingTask
from specvid.pipelines.pretrain.config import PretrainConfig
from specvid.pipelines.pretrain.data import PretrainLists, clip_spec, input_changes, make_pairs, read_lists, train_feed
from specvid.pipelines.pretrain.loss import PROJECTOR, TwinsLoss, make_projector
from specvid.pipelines.pretrain.results import PretrainResult, Representation


class PretrainTask(TrainingTask[PretrainConfig, PretrainLists]):
    """Barlow Twins: two clips of one video are to have one embedding, whose dimensions do not repeat each other."""

    name = "pretrain"
    forward_methods = ("embed",)
    read_lists = staticmethod(read_lists)

    def __init__(self, fabric: Fabric, model: VideoModel, config: PretrainConfig, lists: PretrainLists) -> None:
        self.pairs = make_pairs(lists, clip_spec(model.input, config.clips), config)
        self.criterion = TwinsLoss(model.get_submodule(PROJECTOR), config.loss.redundancy)
        super().__init__(fabric, model, config, lists)

    @staticmethod
    def build_model(config: PretrainConfig, lists: PretrainLists) -> VideoModel:
        """The network of the config, without classifier and with its input as the config changes it; the projector is
        a part of it while it is trained."""
        net = config.net
        with torch.device("meta"):
            default = create_model(net.model).input
        model = create_model(
            net.model,
            blocks=net.blocks,
            conv=net.conv,
            input=input_changes(config.clips, default),
            weights=net.weights or None,
        )
        model.add_module(PROJECTOR, make_projector(model.embedding_dim, config.loss.projector))
        return model

    def make_feed(self) -> TrainFeed:
        """This process's batches of pairs."""
        return train_feed(self.pairs, self.config, self.fabric)

    def validation(self) -> Selection | None:
        """Nothing: there are no labels."""
        return None

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of `TwinsLoss`, with its correlations."""
        twins = batch["video"]
        embedding = cast(VideoModel, model).embed(twins.flatten(0, 1)).unflatten(0, twins.shape[:2])
        return self.criterion(embedding.to(torch.promote_types(embedding.dtype, torch.float32)))

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Nothing: there are no labels."""
        return {}

    def score(self, model: VideoModel) -> PretrainResult:
        """Measure the representation on augmented twins of the clips that were learned of."""
        rows = choose(len(self.pairs), self.config.measured)
        rank, world, size = self.fabric.global_rank, self.fabric.world_size, self.config.train.batch_size
        own = list(range(len(rows)))[rank::world]
        keys = [(self.config.train.epochs, rows[i]) for i in own]  # augmented as in no epoch of the training
        options = loader_options(self.config.train.workers)
        batches = load(
            lambda done, _: DataLoader(self.pairs, batch_size=size, sampler=keys[done * size :], **options),
            self.pairs.guard,
        )
        found: list[tuple[np.ndarray, str]] = []
        for batch in batches:
            found += zip(_embed(self.fabric, model, batch["video"]), batch["error"], strict=True)
        gathered = gather_rows(self.fabric, zip(own, found, strict=True), len(rows))
        errors = [line for _, error in gathered for line in error.splitlines()]
        representation = Representation.of(np.stack([embedding for embedding, _ in gathered]))
        return PretrainResult(self.lists, representation, len(rows), model.embedding_dim, errors)

    def about(self) -> Mapping[str, Any]:
        """Sampling and decoder, and the part of the weights that only the training needs."""
        clips = self.config.clips
        data = {} if clips.is_reid else {"sampling": clips.sampling, "decoder": clips.decoder}
        return {"data": data, "only_for_training": [PROJECTOR]}


@torch.inference_mode()
def _embed(fabric: Fabric, model: VideoModel, twins: Tensor) -> np.ndarray:
    """Embeddings (B, 2, E) of pairs (B, 2, C, T, H, W)."""
    with fabric.autocast():
        embedding = model.embed(fabric.to_device(twins.flatten(0, 1)))
    return embedding.unflatten(0, twins.shape[:2]).float().cpu().numpy()


def train(config: PretrainConfig, *, callback: Callback | None = None) -> dict[str, Any]:
    """Train a network without labels, and measure its representation.

    Args:
        config: all settings.
        callback: watches the training, and may end it.

    Returns:
        What the run's results.json holds.

    Raises:
        Interrupted: a signal ended it; the error says what was saved.
        ValueError: the config, the data or the run's folder do not fit; before anything is trained.
    """
    return training.train(PretrainTask, config, callback=callback)
