"""Action recognition: what one training is made of, from its config to its results.json."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.models import VideoModel, create_model
from specvid.pipelines.action.config import ActionConfig
from specvid.pipelines.action.data import ActionLists, clip_spec, input_changes, make_views, read_lists, train_feed
from specvid.pipelines.action.evaluate import score_views
from specvid.pipelines.action.results import ActionResult
from specvid.pipelines.engine import training
from specvid.pipelines.engine.feed import TrainFeed
from specvid.pipelines.engine.task import Batch, Callback, Selection
from specvid.pipelines.engine.training import TrainingTask


class ActionTask(TrainingTask[ActionConfig, ActionLists]):
    """Cross-entropy on clips; top-1 on held-out groups."""

    name = "action"
    read_lists = staticmethod(read_lists)

    def __init__(self, fabric: Fabric, model: VideoModel, config: ActionConfig, lists: ActionLists) -> None:
        self.clip = clip_spec(model.input, config.clips)
        super().__init__(fabric, model, config, lists)
        self.views = make_views(lists.test, self.clip, clips=config.test_clips, crops=config.test_crops)

    @staticmethod
    def build_model(config: ActionConfig, lists: ActionLists) -> VideoModel:
        """The network of the config, with a classifier and with its input as the config changes it."""
        net = config.net
        with torch.device("meta"):
            default = create_model(net.model).input
        return create_model(
            net.model,
            blocks=net.blocks,
            num_classes=len(lists.classes),
            dropout=net.dropout,
            input=input_changes(config.clips, default),
            weights=net.weights or None,
        )

    def make_feed(self) -> TrainFeed:
        """This process's batches of the train part."""
        return train_feed(self.lists.train, self.clip, self.config, self.fabric)

    def validation(self) -> Selection | None:
        """What selects ``best/`` where clips are held out: top-1."""
        if not self.lists.validation:
            return None
        held_out = f"{len(self.lists.validation)} clips held out of the train list of split {self.lists.split}"
        return Selection("val_top1", True, f"highest top-1 on the validation part ({held_out})")

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy, with its accuracy."""
        mixing = {"label_smoothing": self.config.label_smoothing, "mixup": self.config.mixup}
        loss, logits = clip_loss(model, batch["video"], batch["label"], **mixing)
        return loss, {"accuracy": (logits.detach().argmax(dim=1) == batch["label"]).float().mean()}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Top-1 and top-5 of the clips held out, one view each."""
        if not self.lists.validation:
            return {}
        views = make_views(self.lists.validation, self.clip, clips=1, crops=1)
        scores = score_views(self.fabric, model, views, compute=self.config.train, title="validation")
        score = scores.score([record.label for record in self.lists.validation])
        return {"val_top1": score.top1, "val_top5": score.top5, "val_unreadable": score.missing}

    def score(self, model: VideoModel) -> ActionResult:
        """Score the test list."""
        scores = score_views(self.fabric, model, self.views, compute=self.config.train, title="test")
        return ActionResult.of(self.lists, scores, checkpoint="last", views=self.views)

    def about(self) -> Mapping[str, Any]:
        """Classes, sampling and decoder."""
        return {
            "classes": self.lists.classes,
            "data": {"sampling": self.config.clips.sampling, "decoder": self.config.clips.decoder},
        }


def train(config: ActionConfig, *, callback: Callback | None = None) -> dict[str, Any]:
    """Train an action recogniser, and score its last epoch on the split's test list.

    Args:
        config: all settings.
        callback: watches the training, and may end it.

    Returns:
        What the run's results.json holds.

    Raises:
        Interrupted: a signal ended it; the error says what was saved.
        ValueError: the config, the data or the run's folder do not fit; before anything is trained.
    """
    return training.train(ActionTask, config, callback=callback)


def clip_loss(
    model: nn.Module, video: Tensor, label: Tensor, *, label_smoothing: float = 0.0, mixup: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of clips.

    Args:
        model: gives logits (B, C).
        video: (B, 3, T, H, W).
        label: (B,).
        label_smoothing: share of the target spread over all classes.
        mixup: each clip is mixed with another one of the batch in shares (s, 1 - s), s from Beta(mixup, mixup), and so
            are the losses; 0 = no mixing. Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.

    Returns:
        The mean loss, and the logits (B, C).
    """
    if not mixup:
        logits = model(video)
        return F.cross_entropy(logits, label, label_smoothing=label_smoothing), logits
    share = torch.distributions.Beta(mixup, mixup).sample().item()
    other = torch.randperm(len(label)).to(label.device)
    logits = model(share * video + (1 - share) * video[other])
    own = F.cross_entropy(logits, label, label_smoothing=label_smoothing)
    mixed_in = F.cross_entropy(logits, label[other], label_smoothing=label_smoothing)
    return share * own + (1 - share) * mixed_in, logits
