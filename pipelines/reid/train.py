"""Person re-identification: what one training is made of, from its config to its results.json."""

from collections.abc import Mapping
from typing import Any, cast

from lightning_fabric import Fabric
from torch import Tensor, nn

from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import normalise_clips
from specvid.models import VideoModel, create_model
from specvid.pipelines.engine import training
from specvid.pipelines.engine.feed import TrainFeed
from specvid.pipelines.engine.task import Batch, Callback, Selection
from specvid.pipelines.engine.training import TrainingTask
from specvid.pipelines.reid.config import ReidClipsConfig, ReidConfig
from specvid.pipelines.reid.data import ReidLists, input_changes, make_chunks, read_lists, train_feed
from specvid.pipelines.reid.features import as_reid_features, check_scorable, embed_tracklets
from specvid.pipelines.reid.loss import CENTRES, ReidLoss, add_centres
from specvid.pipelines.reid.results import ReidResult


class ReidTask(TrainingTask[ReidConfig, ReidLists]):
    """Classifier, triplet and centre loss on P x K clips; mAP on held-out identities."""

    name = "reid"
    forward_methods = ("outputs",)

    def __init__(self, fabric: Fabric, model: VideoModel, config: ReidConfig, lists: ReidLists) -> None:
        self.clip = ClipSpec.of(model.input)
        super().__init__(fabric, model, config, lists)
        self.criterion = ReidLoss(config.loss)
        self.buffers = {name: list(tensor.shape) for name, tensor in model.named_buffers() if name == CENTRES}

    @staticmethod
    def read_lists(config: ReidClipsConfig) -> ReidLists:
        """The lists of the split; ``NoMatchError`` where no query could have a match."""
        lists = read_lists(config)
        check_scorable(lists.data)
        return lists

    @staticmethod
    def build_model(config: ReidConfig, lists: ReidLists) -> VideoModel:
        """The network of the config, with a classifier and with its input as the config changes it."""
        net, classes = config.net, len(lists.classes)
        options = {} if net.last_stride is None else {"last_stride": net.last_stride}
        model = create_model(
            net.model,
            blocks=net.blocks,
            conv=net.conv,
            num_classes=classes,
            embedding_dim=net.embedding_dim,
            pooling=net.pooling,
            neck=net.neck,
            dropout=net.dropout,
            input=input_changes(config.clips),
            weights=net.weights or None,
            **options,
        )
        if config.loss.centre:
            add_centres(model, classes, model.embedding_dim)
        return model

    def make_feed(self) -> TrainFeed:
        """This process's batches of the train part."""
        return train_feed(self.lists, self.clip, self.config, self.fabric)

    def validation(self) -> Selection | None:
        """What selects ``best/`` where identities are held out: mAP."""
        if self.lists.validation is None:
            return None
        return Selection("val_mAP", True, f"highest mAP on the validation part ({self.lists.validation.title})")

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of `ReidLoss`, with its parts."""
        video = normalise_clips(batch["video"], self.input.mean, self.input.std)
        outputs = cast(VideoModel, model).outputs(video)
        centres = model.get_buffer(f"{_prefix(model)}{CENTRES}") if self.buffers else None
        return self.criterion(outputs, batch["label"], centres)

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """mAP and rank-1 of the identities held out."""
        held = self.lists.validation
        if held is None:
            return {}
        assert isinstance(model, VideoModel)
        chunks = make_chunks(held.test, self.clip, sampling=self.config.test_sampling)
        found = embed_tracklets(self.fabric, model, chunks, compute=self.config.train, title="validation")
        score = as_reid_features(held, found.features, {}).score(held.protocol)
        return {"val_mAP": score.mAP, "val_rank1": score.rank(1), "val_unreadable": len(found.errors)}

    def score(self, model: VideoModel) -> ReidResult:
        """Score the test identities."""
        sampling = self.config.test_sampling
        chunks = make_chunks(self.lists.data.test, self.clip, sampling=sampling)
        found = embed_tracklets(self.fabric, model, chunks, compute=self.config.train, title="test")
        return ReidResult.of(self.lists.data, found, checkpoint="last", sampling=sampling, spec=chunks.spec)

    def about(self) -> Mapping[str, Any]:
        """Identities, test sampling, and buffers that the loss added."""
        sampling = self.config.test_sampling
        return {"buffers": self.buffers, "identities": self.lists.classes, "test_sampling": sampling}


def _prefix(model: nn.Module) -> str:
    """What stands before the buffer's name in whatever wraps the model (Fabric, DDP, torch.compile)."""
    return next(name for name, _ in model.named_buffers() if name.endswith(CENTRES)).removesuffix(CENTRES)


def train(config: ReidConfig, *, callback: Callback | None = None) -> dict[str, Any]:
    """Train a person re-identifier, and score its last epoch on the split's test identities.

    Args:
        config: all settings.
        callback: watches the training, and may end it.

    Returns:
        What the run's results.json holds.

    Raises:
        Interrupted: a signal ended it; the error says what was saved.
        ValueError: the config, the data or the run's folder do not fit; before anything is trained.
    """
    return training.train(ReidTask, config, callback=callback)
