"""Action recognition: what one training is made of, from its config to its results.json."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.datasets.clips.transforms import normalise_clips
from specvid.datasets.clips.videos import TestViews
from specvid.eval.classification import score_classification
from specvid.eval.multilabel import best_thresholds, score_multilabel
from specvid.models import VideoModel, create_model
from specvid.pipelines.action.config import ActionClipsConfig, ActionConfig
from specvid.pipelines.action.data import ActionLists, clip_spec, input_changes, make_views, read_lists, train_feed
from specvid.pipelines.action.evaluate import score_views
from specvid.pipelines.action.results import ActionResult, ClipScores, result_of
from specvid.pipelines.action.sides import keep_sides
from specvid.pipelines.engine import training
from specvid.pipelines.engine.feed import TrainFeed
from specvid.pipelines.engine.listing import Listing
from specvid.pipelines.engine.task import Batch, Callback, Selection
from specvid.pipelines.engine.training import TrainingTask


class ActionTask(TrainingTask[ActionConfig, ActionLists]):
    """Cross-entropy and top-1; where clips may have several classes, binary cross-entropy and mAP."""

    name = "action"
    read_lists = staticmethod(read_lists)

    def __init__(self, fabric: Fabric, model: VideoModel, config: ActionConfig, lists: ActionLists) -> None:
        self.clip = clip_spec(model.input, config.clips)
        self.thresholds: list[float] | None = None  # of the classes, chosen on the validation part
        super().__init__(fabric, model, config, lists)
        self.views = make_views(lists.test, self.clip, clips=config.test_clips, crops=config.test_crops)

    @staticmethod
    def keep_parts(config: ActionClipsConfig, lists: ActionLists, before: Listing) -> ActionLists:
        """The test part without what the weights were trained on, where it is drawn: see `keep_sides`."""
        return keep_sides(lists, before) if config.test_fraction and not config.limit else lists

    @staticmethod
    def build_model(config: ActionConfig, lists: ActionLists) -> VideoModel:
        """The network of the config, with a classifier and with its input as the config changes it."""
        net = config.net
        with torch.device("meta"):
            default = create_model(net.model).input
        return create_model(
            net.model,
            blocks=net.blocks,
            conv=net.conv,
            num_classes=len(lists.classes),
            dropout=net.dropout,
            input=input_changes(config.clips, default),
            weights=net.weights or None,
        )

    def make_feed(self) -> TrainFeed:
        """This process's batches of the train part."""
        return train_feed(self.lists, self.clip, self.config, self.fabric)

    def validation(self) -> Selection | None:
        """What selects ``best/`` where clips are held out: top-1, or mAP."""
        if not self.lists.validation:
            return None
        held_out = f"{len(self.lists.validation)} clips held out of the train list of split {self.lists.split}"
        metric, name = ("val_map", "mAP") if self.lists.is_multilabel else ("val_top1", "top-1")
        return Selection(metric, True, f"highest {name} on the validation part ({held_out})")

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, with its accuracy (of several classes a clip: of all decisions at 0.5)."""
        mixing = {"label_smoothing": self.config.label_smoothing, "mixup": self.config.mixup}
        label = batch["label"]
        video = normalise_clips(batch["video"], self.input.mean, self.input.std)
        loss, logits = clip_loss(model, video, label, weight=batch.get("weight"), **mixing)
        decided = logits.detach() > 0 if label.ndim == 2 else logits.detach().argmax(dim=1)
        return loss, {"accuracy": (decided == label).float().mean()}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Top-1 and top-5, or mAP, of the clips held out, one view each."""
        if not self.lists.validation:
            return {}
        views = make_views(self.lists.validation, self.clip, clips=1, crops=1)
        scores = self._score_views(model, views, "validation")
        if self.lists.is_multilabel:
            labels = [record.labels for record in self.lists.validation]
            self.thresholds = best_thresholds(scores.probabilities, labels).tolist()
            found = score_multilabel(scores.probabilities, labels, self.thresholds)
            return {"val_map": found.mean_ap, "val_f1": found.f1, "val_unreadable": found.missing}
        score = score_classification(scores.probabilities, [record.label for record in self.lists.validation])
        return {"val_top1": score.top1, "val_top5": score.top5, "val_unreadable": score.missing}

    def score(self, model: VideoModel) -> ActionResult:
        """Score the test list."""
        if self.lists.is_multilabel and self.thresholds is None:
            self.evaluate(model)  # a training that was done before it was continued
        scores, leaked = self._score_views(model, self.views, "test"), len(self.inherited)
        return result_of(
            self.lists, scores, checkpoint="last", views=self.views, thresholds=self.thresholds, leaked=leaked
        )

    def about(self) -> Mapping[str, Any]:
        """Classes, sampling and decoder; for several classes a clip, the thresholds too."""
        multilabel = {"multilabel": True, "thresholds": self.thresholds} if self.lists.is_multilabel else {}
        return {
            "classes": self.lists.classes,
            **multilabel,
            "data": {"sampling": self.config.clips.sampling, "decoder": self.config.clips.decoder},
        }

    def _score_views(self, model: nn.Module, views: TestViews, title: str) -> ClipScores:
        multilabel = self.lists.is_multilabel
        return score_views(self.fabric, model, views, compute=self.config.train, title=title, multilabel=multilabel)


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
    model: nn.Module,
    video: Tensor,
    label: Tensor,
    *,
    weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    mixup: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of clips of one class each, or binary cross-entropy of clips that may have several.

    Args:
        model: gives logits (B, C).
        video: (B, 3, T, H, W).
        label: (B,) classes; or (B, C) of zeros and ones.
        weight: (B,) of the clips, 1 on average over the data.
        label_smoothing: share of the target spread over all classes, or over both answers.
        mixup: each clip is mixed with another one of the batch in shares (s, 1 - s), s from Beta(mixup, mixup), and so
            are the losses; 0 = no mixing. Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.

    Returns:
        The mean loss, and the logits (B, C).
    """

    def mean_loss(logits: Tensor, label: Tensor, weight: Tensor | None) -> Tensor:
        if label.ndim == 2:
            target = label * (1 - label_smoothing) + label_smoothing / 2
            losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=1)
        elif weight is None:
            return F.cross_entropy(logits, label, label_smoothing=label_smoothing)
        else:
            losses = F.cross_entropy(logits, label, label_smoothing=label_smoothing, reduction="none")
        return losses.mean() if weight is None else (losses * weight).mean()

    if not mixup:
        logits = model(video)
        return mean_loss(logits, label, weight), logits
    share = torch.distributions.Beta(mixup, mixup).sample().item()
    other = torch.randperm(len(label)).to(label.device)
    logits = model(share * video + (1 - share) * video[other])
    own = mean_loss(logits, label, weight)
    mixed_in = mean_loss(logits, label[other], None if weight is None else weight[other])
    return share * own + (1 - share) * mixed_in, logits
