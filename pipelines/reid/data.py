"""From a config to the tracklets, training batches and test chunks of person re-identification."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from lightning_fabric import Fabric

from specvid.datasets.clips.samplers import IdentitySampler
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.tracklets import TestChunks, TrainTracklets
from specvid.datasets.clips.transforms import test_transform, train_transform
from specvid.datasets.layouts.registry import read_reid
from specvid.datasets.layouts.reid_set import Identity, ReidSet, Tracklet, labels_of
from specvid.datasets.layouts.tracklets import HOW_TO_TRAIN
from specvid.pipelines.engine.feed import TrainFeed, choose
from specvid.pipelines.engine.listing import Listing
from specvid.pipelines.reid.config import ReidClipsConfig, ReidConfig
from specvid.text import counted


@dataclass(frozen=True)
class ReidLists:
    """The tracklets of one split.

    Args:
        data: the data set; its test part is scored on.
        train: tracklets to train on.
        classes: their identities, sorted.
        labels: (N,) number of each training tracklet's identity in ``classes``.
        validation: identities held out of the ones to train on, or None.
    """

    items: ClassVar[str] = "tracklets"

    data: ReidSet
    train: tuple[Tracklet, ...]
    classes: list[Identity]
    labels: np.ndarray
    validation: ReidSet | None

    @property
    def title(self) -> str:
        """What reports call the data."""
        return self.data.title

    @property
    def split(self) -> int:
        """Number of the split."""
        return self.data.split

    @property
    def parts(self) -> dict[str, list[Path]]:
        """The first frame of each tracklet, by the name of its part."""
        held_out = self.validation.test if self.validation is not None else ()
        lists = {"train": self.train, "validation": held_out, "test": self.data.test}
        return {part: [tracklet.path(0) for tracklet in tracklets] for part, tracklets in lists.items()}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the lists, a sentence each."""
        return self.data.warnings

    @property
    def listing(self) -> Listing:
        """The tracklets of each part by their names, with their identities."""
        held_out = self.validation.test if self.validation is not None else ()
        lists = {"train": self.train, "validation": held_out, "test": self.data.test}
        parts = {part: {own.name: {"label": str(own.pid)} for own in tracklets} for part, tracklets in lists.items()}
        return Listing(self.items, [str(pid) for pid in self.classes], parts)

    def __str__(self) -> str:
        held_out = f", {len(self.validation.test)} held out" if self.validation else ""
        return (
            f"{counted(len(self.train), 'tracklet')} of {len(self.classes)} identities to train on{held_out}; "
            f"{len(self.data.query)} queries, {len(self.data.gallery)} gallery tracklets"
        )


def read_lists(config: ReidClipsConfig) -> ReidLists:
    """Read the tracklets of a split.

    Args:
        config: data set, folder, split, and the share to hold out.

    Returns:
        The lists.

    Raises:
        ValueError: a wrong folder, list or split, or no tracklets to train on.
    """
    if not config.data:
        raise ValueError("data is not given: --data DIR must name the folder of the data set.")
    data = read_reid(config.dataset, config.data, split=config.split)
    if not data.train:
        hint = f" {HOW_TO_TRAIN}" if config.dataset == "tracklets" else ""
        raise ValueError(f"data {config.data!r} has no tracklets to train on; it can only be scored on.{hint}")
    if config.limit:
        data = limit_identities(data, config.limit)
    train, validation = hold_out(data, config.val_fraction)
    classes, labels = labels_of(train)
    return ReidLists(data, train, classes, labels, validation)


def hold_out(data: ReidSet, fraction: float) -> tuple[tuple[Tracklet, ...], ReidSet | None]:
    """Split the tracklets to train on into what is trained on and what is held out: whole identities.

    Args:
        data: the data set.
        fraction: of the identities seen by two cameras to hold out; 0 = none.

    Returns:
        The tracklets to train on, and a set of those held out, in which all are queries and all are gallery, under the
        protocol ``cross-camera``.

    Raises:
        ValueError: there are too few identities.
    """
    if not fraction:
        return data.train, None
    cameras: dict[Identity, set[Identity]] = {}
    for tracklet in data.train:
        cameras.setdefault(tracklet.pid, set()).add(tracklet.camid)
    able = [pid for pid in labels_of(data.train)[0] if len(cameras[pid]) > 1]
    count = max(2, round(fraction * len(able)))
    if len(able) < 2 or count > len(cameras) - 2:
        raise ValueError(
            f"val_fraction {fraction}: {len(able)} of {len(cameras)} identities are seen by two cameras; "
            "at least 2 of them must be held out, and at least 2 identities must remain."
        )
    held = {able[i] for i in np.random.default_rng(data.split).permutation(len(able))[:count]}
    test = tuple(tracklet for tracklet in data.train if tracklet.pid in held)
    rows = np.arange(len(test))
    title = f"{count} identities held out of the ones to train on"
    validation = replace(data, title=title, protocol="cross-camera", train=(), test=test, query=rows, gallery=rows)
    return tuple(tracklet for tracklet in data.train if tracklet.pid not in held), validation


def limit_identities(data: ReidSet, limit: int) -> ReidSet:
    """A part of a data set, to try things out.

    Args:
        data: the data set.
        limit: how many identities to train on and how many queried ones to keep; without distractors and junk.

    Returns:
        Their tracklets, under a title that says so.
    """
    trained = labels_of(data.train)[0]
    queried = labels_of([data.test[row] for row in data.query])[0]
    train, test = ({names[i] for i in choose(len(names), limit)} for names in (trained, queried))
    rows = np.array([tracklet.pid in test for tracklet in data.test])
    place = np.cumsum(rows) - 1
    return replace(
        data,
        title=f"{data.title}, no more than {limit} identities of each part",
        is_complete=False,
        train=tuple(tracklet for tracklet in data.train if tracklet.pid in train),
        test=tuple(tracklet for tracklet, inside in zip(data.test, rows, strict=True) if inside),
        query=place[data.query[rows[data.query]]],
        gallery=place[data.gallery[rows[data.gallery]]],
    )


def input_changes(config: ReidClipsConfig) -> dict[str, object]:
    """What the config changes of the backbone's own input.

    Args:
        config: frames, height, width and interpolation.

    Returns:
        The changed fields.
    """
    size = (config.height, config.width)
    own = {} if config.interpolation is None else {"interpolation": config.interpolation}
    return {"frames": config.frames, "stride": 1, "size": size, "resize": size, **own}


def train_feed(lists: ReidLists, clip: ClipSpec, config: ReidConfig, fabric: Fabric) -> TrainFeed:
    """Training batches of P identities x K tracklets.

    Args:
        lists: what to train on.
        clip: the clips that the network takes.
        config: augmentation, batch, seed.
        fabric: of this process, which gets its share.

    Returns:
        The batches.
    """
    clips, seed = config.clips, config.train.seed
    height, width = clip.crop
    larger = replace(clip, resize=(math.ceil(clips.zoom * height), math.ceil(clips.zoom * width)))
    transform = train_transform(larger, flip=clips.flip, jitter=clips.jitter, erase=clips.erase, normalised=False)
    dataset = TrainTracklets(lists.train, lists.labels, larger, transform=transform, seed=seed)
    sampler = IdentitySampler(
        lists.labels,
        [tracklet.camid for tracklet in lists.train],
        identities=clips.identities,
        tracklets=clips.tracklets,
        repeats=clips.repeats,
        seed=seed,
        rank=fabric.global_rank,
        world=fabric.world_size,
    )
    on_gpu = fabric.device.type == "cuda"
    return TrainFeed(dataset, sampler, config=config.train, world=fabric.world_size, pin_memory=on_gpu)


def make_chunks(tracklets: Sequence[Tracklet], clip: ClipSpec, *, sampling: str) -> TestChunks:
    """Test chunks.

    Args:
        tracklets: to embed.
        clip: the clips that the network takes.
        sampling: ``all`` frames in chunks, evenly spaced ones (``even``), or the ``first`` of each segment.

    Returns:
        The chunks of all tracklets.
    """
    return TestChunks(tracklets, clip, transform=test_transform(clip), sampling=sampling)
