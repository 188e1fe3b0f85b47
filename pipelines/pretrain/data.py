"""From a config to the videos or tracklets, and the pairs of clips, of a training without labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from lightning_fabric import Fabric

from specvid.datasets.clips.samplers import EpochSampler
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.tracklets import TrainTracklets
from specvid.datasets.clips.transforms import train_transform
from specvid.datasets.clips.videos import TrainClips
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.datasets.layouts.registry import read_action, read_reid
from specvid.datasets.layouts.reid_set import Tracklet
from specvid.datasets.layouts.tracklets import HOW_TO_TRAIN
from specvid.datasets.layouts.videos import find_videos
from specvid.models.spec import InputSpec
from specvid.pipelines.engine.feed import TrainFeed, choose
from specvid.pipelines.engine.listing import Listing
from specvid.pipelines.engine.recipes import batch_size_for
from specvid.pipelines.pretrain.config import PretrainClipsConfig, PretrainConfig

Pairs = TrainClips | TrainTracklets


@dataclass(frozen=True)
class PretrainLists:
    """What is learned of: videos, or tracklets.

    Args:
        title: what reports call the data.
        split: number of the split.
        videos: to learn of; empty of a re-ID data set.
        tracklets: to learn of; empty of videos.
        source: resolved path of own data or of a part, as titles may be equal; "" where the title is enough.
        warnings: what is odd about the lists, a sentence each.
    """

    items: ClassVar[str] = "clips"

    title: str
    split: int
    videos: Sequence[VideoRecord] = ()
    tracklets: Sequence[Tracklet] = ()
    source: str = ""
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.videos) or len(self.tracklets)

    @property
    def parts(self) -> dict[str, list[Path]]:
        """A file of each item."""
        files = [record.path for record in self.videos] + [tracklet.path(0) for tracklet in self.tracklets]
        return {"train": files}

    @property
    def listing(self) -> Listing:
        """All videos or tracklets by their names."""
        names = [record.name for record in self.videos] + [tracklet.name for tracklet in self.tracklets]
        return Listing(self.items, parts={"train": {name: {} for name in names}})

    def __str__(self) -> str:
        return f"{len(self)} {'videos' if self.videos else 'tracklets'} to learn of, without their labels"


def read_lists(config: PretrainClipsConfig) -> PretrainLists:
    """Read what is to be learned of: all videos of a folder, or the training part of a data set.

    Args:
        config: data set, folder and split.

    Returns:
        The lists.

    Raises:
        ValueError: a wrong folder, list or split, or nothing to train on.
    """
    about: dict[str, Any]
    if not config.data:
        raise ValueError("data is not given: --data DIR must name a folder of videos, or of a data set.")
    own = {"groups": config.groups, "test_fraction": config.test_fraction}
    if config.dataset == "videos":
        given = [f"{name} {value!r}" for name, value in own.items() if value]
        if given or config.split != 1:
            what = given[0] if given else f"split {config.split}"
            raise ValueError(f"{what} belongs to a data set with parts; of a folder of videos all are taken.")
        source = str(Path(config.data).resolve())
        lists = PretrainLists(f"videos of {Path(source).name}", 1, videos=find_videos(config.data), source=source)
    elif config.is_reid:
        people = read_reid(config.dataset, config.data, split=config.split)
        about = {"source": people.source, "warnings": people.warnings}
        lists = PretrainLists(people.title, config.split, tracklets=people.train, **about)
    else:
        data = read_action(config.dataset, config.data, split=config.split, **own)
        about = {"source": data.source, "warnings": data.warnings}
        lists = PretrainLists(data.title, config.split, videos=data.train, **about)
    if not len(lists):
        hint = f" {HOW_TO_TRAIN}" if config.dataset == "tracklets" else ""
        raise ValueError(f"data {config.data!r} has nothing to train on; it can only be scored on.{hint}")
    if config.limit:
        chosen = choose(len(lists), config.limit)
        videos = [lists.videos[i] for i in chosen] if lists.videos else ()
        tracklets = [lists.tracklets[i] for i in chosen] if lists.tracklets else ()
        title = f"{lists.title}, no more than {config.limit} clips"
        lists = replace(lists, title=title, videos=videos, tracklets=tracklets)
    if len(lists) < 2:
        raise ValueError(
            f"data {config.data!r} has one clip to train on: the twins of a clip are told from those of others, so two "
            "are needed, and better hundreds."
        )
    return lists


def input_changes(config: PretrainClipsConfig, default: InputSpec) -> dict[str, Any]:
    """What the config changes of the backbone's own input.

    Args:
        config: frames, stride, size or height and width, modality and interpolation.
        default: the backbone's own; a size alone keeps its proportion to what it is cut from.

    Returns:
        The changed fields.
    """
    stride = 1 if config.is_reid else config.stride
    given: dict[str, Any] = {"frames": config.frames, "stride": stride, "interpolation": config.interpolation}
    changes = {name: value for name, value in given.items() if value is not None}
    if config.modality != "rgb":
        changes["modality"] = config.modality
    if config.size is not None:
        short = default.resize if isinstance(default.resize, int) else min(default.resize)
        return changes | {
            "size": config.size,
            "resize": max(config.size, round(config.size * short / min(default.crop))),
        }
    if config.height is None and not config.is_reid:
        return changes
    size = (config.height or 256, config.width or 128)
    return changes | {"size": size, "resize": size}


def clip_spec(spec: InputSpec, config: PretrainClipsConfig) -> ClipSpec:
    """The clips that a network takes, sampled and decoded as the config says.

    Args:
        spec: the network's input.
        config: sampling, decoder, and the share of frames that must decode.

    Returns:
        The spec of the clips.
    """
    if config.is_reid:
        return ClipSpec.of(spec)
    return ClipSpec.of(spec, sampling=config.sampling, decoder=config.decoder, min_readable=config.min_readable)


def make_pairs(lists: PretrainLists, clip: ClipSpec, config: PretrainConfig) -> Pairs:
    """The data set of pairs: two clips of each video or tracklet, each augmented by itself.

    Args:
        lists: what to learn of.
        clip: from `clip_spec`.
        config: augmentation and seed.

    Returns:
        Indexed by (epoch, i): ``video`` is float32 (2, C, T, H, W).
    """
    clips, seed = config.clips, config.train.seed
    strengths = {name: getattr(clips, name) for name in ("flip", "jitter", "erase", "grey", "blur")}
    transform = train_transform(clip, crop="resized", scale=(clips.min_area, 1.0), **strengths)
    if lists.videos:
        return TrainClips(lists.videos, clip, transform=transform, seed=seed, twins=True)
    labels = [0] * len(lists.tracklets)  # an unreadable one is replaced by any other
    return TrainTracklets(lists.tracklets, labels, clip, transform=transform, seed=seed, twins=True)


def train_feed(pairs: Pairs, config: PretrainConfig, fabric: Fabric) -> TrainFeed:
    """Training batches of pairs.

    Args:
        pairs: from `make_pairs`.
        config: batch, seed.
        fabric: of this process, which gets its share.

    Returns:
        The batches.
    """
    world = fabric.world_size
    sampler = EpochSampler(
        len(pairs), shuffle=True, seed=config.train.seed, rank=fabric.global_rank, world=world, drop_last=True
    )
    engine = replace(config.train, batch_size=batch_size_for(config, clips=len(sampler) * world, world=world))
    return TrainFeed(pairs, sampler, config=engine, world=world, pin_memory=fabric.device.type == "cuda")
