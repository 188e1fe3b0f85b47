"""Action recognition: what one training is made of, from its config to its results.json."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.eval.classification import score_classification
from specvid.models.factory import VideoModel, create_model
from specvid.pipelines.action.config import ActionConfig
from specvid.pipelines.action.data import ActionLists, clip_spec, input_changes, read_lists, train_feed, views_of
from specvid.pipelines.action.results import describe, keep, summarise
from specvid.pipelines.action.scores import score_views
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.log import echo, log, logging_to
from specvid.pipelines.engine.loop import fit
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.engine.seeds import seed_all
from specvid.pipelines.engine.start import start_run
from specvid.pipelines.engine.task import Batch, Selection


class ActionTask:
    """Cross-entropy on clips; top-1 on held-out groups."""

    forward_methods = ()

    def __init__(self, fabric: Fabric, model: VideoModel, config: ActionConfig, lists: ActionLists) -> None:
        self.fabric, self.config, self.lists = fabric, config, lists
        self.model_config, self.input = model.config, model.input
        self.spec = clip_spec(model.input, config.clips)
        on_gpu = fabric.device.type == "cuda"
        rank, world = fabric.global_rank, fabric.world_size
        self.feed = train_feed(lists.train, self.spec, config, rank=rank, world=world, pin_memory=on_gpu)
        if lists.validation:
            held_out = f"{len(lists.validation)} clips held out of the train list of split {lists.split}"
            self.selection = Selection("val_top1", True, f"highest top-1 on the validation part ({held_out})")
        else:
            self.selection = Selection("loss", False, "lowest training loss (no validation part; no test clip selects)")

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        mixing = {"label_smoothing": config.label_smoothing, "mixup": config.mixup}
        loss, logits = clip_loss(model, batch["video"], batch["label"], **mixing)
        return loss, {"accuracy": (logits.detach().argmax(dim=1) == batch["label"]).float().mean()}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        if not self.lists.validation:
            return {}
        engine = self.config.train
        views = views_of(self.lists.validation, self.spec, clips=1, crops=1)
        reading: dict[str, Any] = {"batch_size": engine.batch_size, "workers": engine.workers, "title": "validation"}
        scores = score_views(self.fabric, model, views, classes=len(self.lists.classes), **reading)
        score = score_classification(scores.probabilities, [record.label for record in self.lists.validation])
        return {"val_top1": score.top1, "val_top5": score.top5, "val_unreadable": score.missing}

    def meta(self) -> Mapping[str, Any]:
        data = {"dataset": self.config.clips.dataset, "title": self.lists.title, "split": self.lists.split}
        reading = {"sampling": self.config.clips.sampling, "decoder": self.config.clips.decoder}
        model = {"model": self.model_config, "input": dataclasses.asdict(self.input)}
        return {"task": "action", **model, "classes": self.lists.classes, "data": {**data, **reading}}


def clip_loss(
    model: nn.Module, video: Tensor, label: Tensor, *, label_smoothing: float = 0.0, mixup: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of clips (B, 3, T, H, W) with labels (B,): the mean loss, and the logits (B, C).

    ``mixup``: each clip is mixed with another one of the batch in shares (s, 1 - s), s from Beta(mixup, mixup), and so
    are the losses; 0 = no mixing. Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018.
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


def train(config: ActionConfig) -> dict[str, Any]:
    """Trains as ``config`` says and scores the last epoch on the split's test list. Returns what results.json holds.

    Raises ValueError, before anything is trained, where the config, the data or the run's folder do not fit.
    """
    fabric = make_fabric(config.train)
    lists = read_lists(config.clips)
    check_files(config, lists)
    seed_all(config.train.seed)
    model = build_model(config, classes=len(lists.classes))
    task = ActionTask(fabric, model, config, lists)
    views = {"clips": config.test_clips, "crops": config.test_crops}
    test = views_of(lists.test, task.spec, **views)
    run = start_run(fabric, config)
    with logging_to(run.path, is_main=fabric.is_global_zero):
        announce(run, model, config, lists)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        trained = fit(fabric, model, task, config.train, run)
        batches = {"batch_size": config.train.batch_size, "workers": config.train.workers}
        scores = score_views(fabric, trained, test, classes=len(lists.classes), title="test", **batches)
        if fabric.is_global_zero:
            best_is = task.selection.reason
            run.write_training(config, task="action", parameters=parameters, best_is=best_is)
            entry, score = summarise(lists, scores, checkpoint="last", **views)
            echo(describe(run, entry, scores, keep(run, lists, scores, entry, score)))
        fabric.barrier()
    return run.results()


def build_model(config: ActionConfig, *, classes: int) -> VideoModel:
    """The network of the config with a classifier of ``classes``, and with its input as the config changes it."""
    net = config.net
    with torch.device("meta"):
        default = create_model(net.model).input
    return create_model(
        net.model,
        blocks=net.blocks,
        num_classes=classes,
        dropout=net.dropout,
        input=input_changes(config.clips, default),
        weights=net.weights or None,
    )


def check_files(config: ActionConfig, lists: ActionLists) -> None:
    """Raises ValueError where none of the files of a list is there: then the folder is the wrong one."""
    for name, records in {"train": lists.train, "test": lists.test}.items():
        if not any(record.path.is_file() for record in records):
            raise ValueError(
                f"data {config.clips.data!r}: none of the {name} clips of split {lists.split} is there, "
                f"e.g. {records[0].path}. Check it with `specvid data check`."
            )


def announce(run: RunFolder, model: VideoModel, config: ActionConfig, lists: ActionLists) -> None:
    """Says what is trained on what, and warns of files that are missing."""
    blocks = f" with {config.net.blocks}" if config.net.blocks else ", no blocks"
    spec = model.input
    log.info(f"run {run.path}: {config.net.model}{blocks}, {spec.frames} frames x {spec.stride}, {spec.size} px")
    if config.net.weights:
        log.info("weights: %s", getattr(model, "loaded", config.net.weights))
    parts = {"train": lists.train, "validation": lists.validation, "test": lists.test}
    log.info(f"{lists.title}, split {lists.split}: " + ", ".join(f"{len(part)} {name}" for name, part in parts.items()))
    for name, records in parts.items():
        missing = [record for record in records if not record.path.is_file()]
        if missing:
            log.warning(f"{len(missing)} of {len(records)} {name} clips are missing, e.g. {missing[0].path}")
