"""From a config to the tracklets, training batches and test chunks of person re-identification."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from specvid.datasets.clips.identity_sampler import IdentitySampler
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.tracklets import TestChunks, TrainTracklets
from specvid.datasets.clips.transforms import test_transform, train_transform
from specvid.datasets.layouts.registry import read_reid
from specvid.datasets.layouts.reid_set import Identity, ReidSet, Tracklet, labels_of
from specvid.models.spec import InputSpec
from specvid.pipelines.engine.feed import TrainFeed
from specvid.pipelines.reid.config import ReidConfig, TrackletConfig


@dataclass(frozen=True)
class ReidLists:
    """What one training reads.

    ``identities``: the classes, in the order of ``labels`` (N,) of ``train``; ``validation``: held-out ones, or None.
    """

    data: ReidSet
    train: tuple[Tracklet, ...]
    identities: list[Identity]
    labels: np.ndarray
    validation: ReidSet | None


def read_lists(config: TrackletConfig) -> ReidLists:
    """The tracklets of ``config.split``. Raises ValueError for a wrong folder, list or split, or no one to train on."""
    if not config.data:
        raise ValueError("data is not given: --data DIR must name the folder of the data set.")
    data = read_reid(config.dataset, config.data, split=config.split)
    if not data.train:
        raise ValueError(f"data {config.data!r} has no tracklets to train on; it can only be scored on.")
    train, validation = hold_out(data, config.val_fraction)
    identities, labels = labels_of(train)
    return ReidLists(data, train, identities, labels, validation)


def hold_out(data: ReidSet, fraction: float) -> tuple[tuple[Tracklet, ...], ReidSet | None]:
    """Splits the tracklets to train on into (kept, held out): whole identities, a ``fraction`` of those in two cameras.

    The held-out tracklets all ask and all answer, under the protocol ``cross-camera``.
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
            f"val_fraction {fraction}: {len(able)} of {len(cameras)} identities are seen by two cameras; at least 2 of "
            f"them "
            "must be held out and at least 2 identities kept."
        )
    held = {able[i] for i in np.random.default_rng(data.split).permutation(len(able))[:count]}
    test = tuple(tracklet for tracklet in data.train if tracklet.pid in held)
    rows = np.arange(len(test))
    title = f"{count} identities held out of the ones to train on"
    validation = replace(data, title=title, protocol="cross-camera", train=(), test=test, query=rows, gallery=rows)
    return tuple(tracklet for tracklet in data.train if tracklet.pid not in held), validation


def input_of(config: TrackletConfig) -> dict[str, object]:
    """What the config changes of the backbone's own input."""
    size = (config.height, config.width)
    return {"frames": config.frames, "stride": 1, "size": size, "resize": size}


def train_feed(
    lists: ReidLists, spec: InputSpec, config: ReidConfig, *, rank: int, world: int, pin_memory: bool
) -> TrainFeed:
    """Training batches of P identities x K tracklets."""
    tracklets, seed = config.tracklets, config.train.seed
    height, width = spec.crop
    larger = (math.ceil(tracklets.zoom * height), math.ceil(tracklets.zoom * width))
    clip = replace(ClipSpec.of(spec), resize=larger)
    transform = train_transform(clip, flip=tracklets.flip, jitter=tracklets.jitter, erase=tracklets.erase)
    dataset = TrainTracklets(lists.train, lists.labels, clip, transform=transform, seed=seed)
    cameras = [tracklet.camid for tracklet in lists.train]
    sampler = IdentitySampler(
        lists.labels, cameras, identities=tracklets.identities, tracklets=tracklets.tracklets,
        repeats=tracklets.repeats, seed=seed, rank=rank, world=world,
    )  # fmt: skip
    return TrainFeed(dataset, sampler, config=config.train, world=world, pin_memory=pin_memory)


def chunks_for(tracklets: Sequence[Tracklet], spec: InputSpec, sampling: str) -> TestChunks:
    """The test chunks of tracklets, as the model's ``spec`` wants them."""
    clip = ClipSpec.of(spec)
    return TestChunks(tracklets, clip, transform=test_transform(clip), sampling=sampling)
