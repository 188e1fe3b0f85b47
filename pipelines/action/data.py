"""From a config to the lists of clips, training batches and test views of action recognition."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from specvid.datasets.clips.samplers import EpochSampler
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import test_transform, train_transform
from specvid.datasets.clips.videos import TestViews, TrainClips
from specvid.datasets.layouts.ucf101 import UCF101, VideoRecord, group_of
from specvid.errors import unknown
from specvid.models.spec import InputSpec
from specvid.pipelines.action.config import ActionConfig, ClipConfig
from specvid.pipelines.engine.feed import TrainFeed

DATASETS = {"ucf101": UCF101}


@dataclass(frozen=True)
class ActionLists:
    """The clips of one split: trained on, held out to validate, tested on. ``title``: what reports call the data."""

    title: str
    is_whole: bool
    split: int
    classes: list[str]
    train: list[VideoRecord]
    validation: list[VideoRecord]
    test: list[VideoRecord]


def read_lists(config: ClipConfig) -> ActionLists:
    """The lists of ``config.split``. Raises ValueError for a wrong folder, list or split."""
    if config.dataset not in DATASETS:
        raise unknown("dataset", config.dataset, DATASETS)
    if not config.data:
        raise ValueError("data is not given: --data DIR must name the folder of the data set.")
    train = DATASETS[config.dataset](config.data, split=config.split, train=True)
    test = DATASETS[config.dataset](config.data, split=config.split, train=False)
    kept, held_out = hold_out(train.records, config.val_fraction, seed=config.split)
    return ActionLists(train.title, train.is_whole, config.split, train.classes, kept, held_out, test.records)


def hold_out(
    records: Sequence[VideoRecord], fraction: float, *, seed: int
) -> tuple[list[VideoRecord], list[VideoRecord]]:
    """Splits a train list into (kept, held out): whole groups, ``fraction`` of each class's, at least one and not all.

    Clips of a group are pieces of one video: holding out single clips would make the validation score far too good.
    """
    if not fraction:
        return list(records), []
    rng = np.random.default_rng(seed)
    held: set[str] = set()
    for label in sorted({record.label for record in records}):
        groups = sorted({group_of(record.name) for record in records if record.label == label})
        if len(groups) < 2:
            raise ValueError(
                f"val_fraction {fraction}: {groups[0]} is the only group of its class, none can be held out."
            )
        count = min(max(1, round(fraction * len(groups))), len(groups) - 1)
        held |= set(rng.permutation(groups)[:count].tolist())
    kept = [record for record in records if group_of(record.name) not in held]
    return kept, [record for record in records if group_of(record.name) in held]


def input_changes(config: ClipConfig, default: InputSpec) -> dict[str, int]:
    """What the config changes of the backbone's own input. A size without a resize keeps the backbone's proportion."""
    asked = {"frames": config.frames, "stride": config.stride, "size": config.size, "resize": config.resize}
    changes = {name: value for name, value in asked.items() if value is not None}
    if "size" in changes and "resize" not in changes:
        short = default.resize if isinstance(default.resize, int) else min(default.resize)
        changes["resize"] = max(changes["size"], round(changes["size"] * short / min(default.crop)))
    return changes


def train_feed(
    records: Sequence[VideoRecord], spec: ClipSpec, config: ActionConfig, *, rank: int, world: int, pin_memory: bool
) -> TrainFeed:
    """Training batches of ``records``."""
    clips, seed = config.clips, config.train.seed
    transform = train_transform(spec, crop=clips.crop, flip=clips.flip, jitter=clips.jitter, erase=clips.erase)
    dataset = TrainClips(records, spec, transform=transform, seed=seed)
    sampler = EpochSampler(len(records), shuffle=True, seed=seed, rank=rank, world=world, drop_last=True)
    return TrainFeed(dataset, sampler, config=config.train, world=world, pin_memory=pin_memory)


def clip_spec(spec: InputSpec, config: ClipConfig) -> ClipSpec:
    """The clips that a network takes, sampled and decoded as the config says."""
    return ClipSpec.of(spec, sampling=config.sampling, decoder=config.decoder)


def views_of(records: Sequence[VideoRecord], spec: ClipSpec, *, clips: int, crops: int) -> TestViews:
    """``clips`` x ``crops`` views of each record."""
    room = min(spec.resize) if isinstance(spec.resize, tuple) else spec.resize
    if room < max(spec.crop):
        raise ValueError(
            f"size {spec.size} px is larger than resize {spec.resize} px, from which it is cut. Raise --resize."
        )
    return TestViews(records, spec, transform=test_transform(spec, crops=crops), clips=clips)
