"""Person re-identification: what one training is made of, from its config to its results.json."""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from lightning_fabric import Fabric
from torch import Tensor, nn

from specvid.models.factory import VideoModel, create_model
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.log import echo, log, logging_to
from specvid.pipelines.engine.loop import fit
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.engine.seeds import seed_all
from specvid.pipelines.engine.start import start_run
from specvid.pipelines.engine.task import Batch, Selection
from specvid.pipelines.reid.config import ReidConfig
from specvid.pipelines.reid.data import ReidLists, chunks_for, input_of, read_lists, train_feed
from specvid.pipelines.reid.features import as_reid_features, embed_tracklets
from specvid.pipelines.reid.labels import check_scorable
from specvid.pipelines.reid.loss import CENTRES, ReidLoss, add_centres
from specvid.pipelines.reid.results import describe, keep, score_all


class ReidTask:
    """Classifier, triplet and centre loss on P x K clips; mAP on held-out identities."""

    forward_methods = ("outputs",)

    def __init__(self, fabric: Fabric, model: VideoModel, config: ReidConfig, lists: ReidLists) -> None:
        self.fabric, self.config, self.lists = fabric, config, lists
        self.model_config, self.spec = model.config, model.input
        self.criterion = ReidLoss(config.loss)
        self.buffers = {name: list(tensor.shape) for name, tensor in model.named_buffers() if name == CENTRES}
        shares: dict[str, Any] = {"rank": fabric.global_rank, "world": fabric.world_size}
        self.feed = train_feed(lists, self.spec, config, **shares, pin_memory=fabric.device.type == "cuda")
        if lists.validation is not None:
            reason = f"highest mAP on the validation part ({lists.validation.title})"
            self.selection = Selection("val_mAP", True, reason)
        else:
            self.selection = Selection("loss", False, "lowest training loss (no validation part; no test set selects)")

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        outputs = cast(VideoModel, model).outputs(batch["video"])
        centres = model.get_buffer(f"{_prefix(model)}{CENTRES}") if self.buffers else None
        return self.criterion(outputs, batch["label"], centres)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        held = self.lists.validation
        if held is None:
            return {}
        assert isinstance(model, VideoModel)
        chunks = chunks_for(held.test, self.spec, self.config.test_sampling)
        reading: dict[str, Any] = {"batch_size": self.config.train.batch_size, "workers": self.config.train.workers}
        found = embed_tracklets(self.fabric, model, chunks, title="validation", **reading)
        score = as_reid_features(held, found.features, {}).score(held.protocol)
        return {"val_mAP": score.mAP, "val_rank1": score.rank(1), "val_unreadable": len(found.errors)}

    def meta(self) -> Mapping[str, Any]:
        tracklets = self.config.tracklets
        data = {"dataset": tracklets.dataset, "title": self.lists.data.title, "split": tracklets.split}
        model = {"model": self.model_config, "input": dataclasses.asdict(self.spec), "buffers": self.buffers}
        return {
            "task": "reid",
            **model,
            "identities": self.lists.identities,
            "data": data,
            "test_sampling": self.config.test_sampling,
        }


def _prefix(model: nn.Module) -> str:
    """What stands before the buffer's name in whatever wraps the model (Fabric, DDP, torch.compile)."""
    return next(name for name, _ in model.named_buffers() if name.endswith(CENTRES)).removesuffix(CENTRES)


def train(config: ReidConfig) -> dict[str, Any]:
    """Trains as ``config`` says and scores the last epoch on the split's test part. Returns what results.json holds.

    Raises ValueError, before anything is trained, where the config, the data or the run's folder do not fit.
    """
    fabric = make_fabric(config.train)
    lists = read_lists(config.tracklets)
    check_files(config, lists)
    check_scorable(lists.data)
    seed_all(config.train.seed)
    model = build_model(config, identities=len(lists.identities))
    task = ReidTask(fabric, model, config, lists)
    run = start_run(fabric, config)
    with logging_to(run.path, is_main=fabric.is_global_zero):
        announce(run, model, config, lists)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        trained = fit(fabric, model, task, config.train, run)
        assert isinstance(trained, VideoModel)
        chunks = chunks_for(lists.data.test, task.spec, config.test_sampling)
        reading: dict[str, Any] = {"batch_size": config.train.batch_size, "workers": config.train.workers}
        found = embed_tracklets(fabric, trained, chunks, title="test", **reading)
        if fabric.is_global_zero:
            best_is = task.selection.reason
            run.write_training(config, task="reid", parameters=parameters, best_is=best_is)
            scored = score_all(lists.data, found, checkpoint="last", sampling=config.test_sampling)
            folder = keep(run, scored)
            echo(describe(str(run.path), scored, folder))
        fabric.barrier()
    return run.results()


def build_model(config: ReidConfig, *, identities: int) -> VideoModel:
    """The network of the config with a classifier of ``identities``, and with its input as the config changes it."""
    net = config.net
    options = {} if net.last_stride is None else {"last_stride": net.last_stride}
    model = create_model(
        net.model,
        blocks=net.blocks,
        num_classes=identities,
        embedding_dim=net.embedding_dim,
        pooling=net.pooling,
        neck=net.neck,
        dropout=net.dropout,
        input=input_of(config.tracklets),
        weights=net.weights or None,
        **options,
    )
    if config.loss.centre:
        add_centres(model, identities, model.embedding_dim)
    return model


def check_files(config: ReidConfig, lists: ReidLists) -> None:
    """Raises ValueError where no tracklet's first frame is there: then the folder is the wrong one."""
    for name, tracklets in {"train": lists.train, "test": lists.data.test}.items():
        if not any(tracklet.path(0).is_file() for tracklet in tracklets):
            raise ValueError(
                f"data {config.tracklets.data!r}: none of the {name} tracklets' frames is there, "
                f"e.g. {tracklets[0].path(0)}. Check it with `specvid data check`."
            )


def announce(run: RunFolder, model: VideoModel, config: ReidConfig, lists: ReidLists) -> None:
    """Says what is trained on what, and warns of files that are missing."""
    reading, data = config.tracklets, lists.data
    blocks = f" with {config.net.blocks}" if config.net.blocks else ", no blocks"
    height, width = model.input.crop
    log.info(f"run {run.path}: {config.net.model}{blocks}, {model.input.frames} frames of {height} x {width} px")
    if config.net.weights:
        log.info("weights: %s", model.loaded)
    held = f", {len(lists.validation.test)} held out" if lists.validation else ""
    log.info(
        f"{data.title}, split {data.split}: {len(lists.train)} tracklets of {len(lists.identities)} identities to "
        f"train on{held}; {len(data.query)} queries, {len(data.gallery)} gallery tracklets"
    )
    log.info(
        f"batches: {reading.identities} identities x {reading.tracklets} tracklets; "
        f"{reading.repeats} x everybody an epoch"
    )
    for name, tracklets in {"train": lists.train, "test": data.test}.items():
        missing = [tracklet for tracklet in tracklets if not tracklet.path(0).is_file()]
        if missing:
            log.warning(f"{len(missing)} of {len(tracklets)} {name} tracklets lack a frame, e.g. {missing[0].path(0)}")
