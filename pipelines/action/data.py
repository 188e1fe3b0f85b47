"""From a config to the lists of clips, training batches and test views of action recognition."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from lightning_fabric import Fabric

from specvid.datasets.clips.samplers import EpochSampler
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import test_transform, train_transform
from specvid.datasets.clips.videos import TestViews, TrainClips
from specvid.datasets.layouts.action_set import ActionSet, VideoRecord, hold_out
from specvid.datasets.layouts.classes import class_warnings
from specvid.datasets.layouts.registry import read_action
from specvid.models.spec import InputSpec
from specvid.pipelines.action.config import ActionClipsConfig, ActionConfig
from specvid.pipelines.engine.feed import TrainFeed, choose
from specvid.pipelines.engine.listing import Item, Listing
from specvid.pipelines.engine.recipes import batch_size_for
from specvid.text import counted


@dataclass(frozen=True)
class ActionLists:
    """The clips of one split.

    Args:
        title: what reports call the data.
        is_complete: all classes with all clips that were published are listed; None of data that nobody published.
        split: its number.
        classes: names of the classes, in label order.
        is_multilabel: a clip may have several of them, or none.
        warnings: what is odd about the lists, a sentence each.
        train: clips to train on.
        validation: clips held out of the train list.
        test: clips of the test list.
    """

    items: ClassVar[str] = "clips"

    title: str
    is_complete: bool | None
    split: int
    classes: list[str]
    train: list[VideoRecord]
    validation: list[VideoRecord]
    test: list[VideoRecord]
    is_multilabel: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, list[Path]]:
        """The file of each clip, by the name of its part."""
        lists = {"train": self.train, "validation": self.validation, "test": self.test}
        return {part: [record.path for record in records] for part, records in lists.items()}

    @property
    def listing(self) -> Listing:
        """The clips of each part by their names, with class, source and weight."""
        lists = {"train": self.train, "validation": self.validation, "test": self.test}
        parts = {part: {record.name: self._about(record) for record in records} for part, records in lists.items()}
        return Listing(self.items, self.classes, parts)

    def _about(self, record: VideoRecord) -> Item:
        own = record.labels if self.is_multilabel else (record.label,)
        about: dict[str, Any] = {"label": "|".join(sorted(self.classes[label] for label in own))}
        if record.group:
            about["group"] = record.group
        return about if record.weight == 1 else about | {"weight": record.weight}

    def __str__(self) -> str:
        return ", ".join(f"{len(files)} {part}" for part, files in self.parts.items()) + (
            f" clips of {counted(len(self.classes), 'class')}"
        )


def read_set(config: ActionClipsConfig) -> ActionSet:
    """Read the split of the data set itself, without holding anything out.

    Args:
        config: data set, folder and split.

    Returns:
        The split.

    Raises:
        ValueError: a wrong folder, list or split.
    """
    if not config.data:
        raise ValueError("data is not given: --data DIR must name the folder of the data set.")
    own = {"groups": config.groups, "test_fraction": config.test_fraction}
    return read_action(config.dataset, config.data, split=config.split, **own)


def read_lists(config: ActionClipsConfig) -> ActionLists:
    """Read the lists of a split.

    Args:
        config: data set, folder, split, and the share to hold out.

    Returns:
        The lists.

    Raises:
        ValueError: a wrong folder, list or split.
    """
    data = read_set(config)
    if not data.test:
        raise ValueError(f"data {config.data!r} has no test part: give --test-fraction 0.2, or a test part.")
    if data.validation and config.val_fraction:
        raise ValueError(
            f"val_fraction {config.val_fraction} is given, but the data have a validation part: leave it out."
        )
    train, validation = hold_out(data.train, config.val_fraction, seed=config.split)
    validation = validation or data.validation
    warnings = (*data.warnings, *class_warnings(replace(data, train=train, validation=validation)))
    test, title, is_complete = data.test, data.title, data.is_complete if _is_published(data) else None
    if config.limit:
        parts = (train, validation, test)
        train, validation, test = ([part[i] for i in choose(len(part), config.limit)] for part in parts)
        title, is_complete = f"{title}, no more than {config.limit} clips of each part", False
    if data.is_multilabel and config.balance != "none":
        raise ValueError(
            f"balance {config.balance!r} is for clips of one class each, those of {config.data!r} may have several. "
            "Give them weights in the table."
        )
    if data.is_multilabel:
        for part, records in (("validation", validation), ("test", test)):
            if records and not any(record.labels for record in records):
                raise ValueError(
                    f"data {config.data!r}: none of the {len(records)} clips of the {part} part has a class, so no "
                    "average precision can be computed. Move clips with classes to it, or draw it with another --split."
                )
    labels = data.classes, train, validation, test, data.is_multilabel
    return ActionLists(title, is_complete, config.split, *labels, warnings)


def input_changes(config: ActionClipsConfig, default: InputSpec) -> dict[str, Any]:
    """What the config changes of the backbone's own input.

    Args:
        config: frames, stride, size, resize, modality and interpolation.
        default: the backbone's own; a size without a resize keeps its proportion.

    Returns:
        The changed fields.
    """
    names = ("frames", "stride", "size", "resize", "interpolation")
    changes: dict[str, Any] = {name: value for name in names if (value := getattr(config, name)) is not None}
    if config.modality != "rgb":
        changes["modality"] = config.modality
    if "size" in changes and "resize" not in changes:
        short = default.resize if isinstance(default.resize, int) else min(default.resize)
        changes["resize"] = max(changes["size"], round(changes["size"] * short / min(default.crop)))
    return changes


def clip_spec(spec: InputSpec, config: ActionClipsConfig) -> ClipSpec:
    """The clips that a network takes, sampled and decoded as the config says.

    Args:
        spec: the network's input.
        config: sampling, decoder, and the share of frames that must decode.

    Returns:
        The spec of the clips.
    """
    return ClipSpec.of(spec, sampling=config.sampling, decoder=config.decoder, min_readable=config.min_readable)


def train_feed(lists: ActionLists, clip: ClipSpec, config: ActionConfig, fabric: Fabric) -> TrainFeed:
    """Training batches.

    Args:
        lists: with the clips to train on.
        clip: from `clip_spec`.
        config: augmentation, batch, seed.
        fabric: of this process, which gets its share.

    Returns:
        The batches.
    """
    clips, seed, rank, world = config.clips, config.train.seed, fabric.global_rank, fabric.world_size
    transform = train_transform(
        clip, crop=clips.crop, flip=clips.flip, jitter=clips.jitter, erase=clips.erase, normalised=False
    )
    records = lists.train
    shares = class_shares(records) if clips.balance != "none" else []
    if clips.balance == "loss":
        records = [replace(r, weight=r.weight / share) for r, share in zip(records, shares, strict=True)]
    classes = len(lists.classes) if lists.is_multilabel else 0
    dataset = TrainClips(records, clip, transform=transform, seed=seed, classes=classes)
    weights = [1 / share for share in shares] if clips.balance == "sampler" else None
    sampler = EpochSampler(
        len(records), shuffle=True, seed=seed, rank=rank, world=world, drop_last=True, weights=weights
    )
    on_gpu = fabric.device.type == "cuda"
    engine = replace(config.train, batch_size=batch_size_for(config, clips=len(sampler) * world, world=world))
    return TrainFeed(dataset, sampler, config=engine, world=world, pin_memory=on_gpu)


def class_shares(records: Sequence[VideoRecord]) -> list[float]:
    """For each clip, the share of all clips that are of its class.

    Args:
        records: clips of one class each.

    Returns:
        The shares, in (0, 1].
    """
    counts = Counter(record.label for record in records)
    return [counts[record.label] / len(records) for record in records]


def make_views(records: Sequence[VideoRecord], clip: ClipSpec, *, clips: int, crops: int) -> TestViews:
    """Test views.

    Args:
        records: clips to score.
        clip: from `clip_spec`.
        clips: of each video, spread evenly.
        crops: of each clip.

    Returns:
        ``clips`` x ``crops`` views of each record.

    Raises:
        ValueError: the crop is larger than what it is cut from.
    """
    room = min(clip.resize) if isinstance(clip.resize, tuple) else clip.resize
    if room < max(clip.crop):
        raise ValueError(
            f"size {clip.size} px is larger than resize {clip.resize} px, from which it is cut. Raise --resize."
        )
    return TestViews(records, clip, transform=test_transform(clip, crops=crops), clips=clips)


def _is_published(data: ActionSet) -> bool:
    """Whether there are published numbers to be complete by."""
    return any(there is not None for _, there in data.counts.values())
