"""A network in two: the stages that are frozen and run once, and what stands behind them, which is trained."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from specvid.datasets.clips.sampling import uniform_segments
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.datasets.layouts.reid_set import Tracklet
from specvid.errors import unknown
from specvid.models import VideoModel, create_model
from specvid.models.clip import ForwardPass
from specvid.models.heads import Outputs
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.pipelines.action.data import make_views
from specvid.pipelines.engine.log import status
from specvid.pipelines.engine.meter import REMARKS
from specvid.pipelines.reid.data import make_chunks
from specvid.text import path_on_one_line


@dataclass(frozen=True)
class Cut:
    """Where a network is divided.

    Attributes:
        model: its name.
        last_frozen: of the children of ``container``, the last one that stands still.
        place: of blocks that name none, between that and what is trained; empty: nothing behind is.
        container: path in the backbone; empty: the backbone itself.
        options: of the backbone.
        input: what differs from the backbone's own.
    """

    model: str
    last_frozen: str
    place: str = ""
    container: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    input: Mapping[str, Any] = field(default_factory=dict)

    def children(self, model: VideoModel) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
        """What stands still and what is trained.

        Args:
            model: the whole network, with or without blocks.

        Returns:
            Modules by their names in ``container``.
        """
        children = list(model.backbone.get_submodule(self.container).named_children())
        first = [name for name, _ in children].index(self.last_frozen) + 1
        return dict(children[:first]), dict(children[first:])

    def behind(self, stage: str) -> "Cut":
        """The same network, divided elsewhere.

        Args:
            stage: the last one that stands still, as places have it (``features.6``); empty: where this one is.

        Returns:
            The cut; blocks that name no place go into the first stage behind it.

        Raises:
            ValueError: there is no such stage, or none behind it.
        """
        if stage in ("", self.last_path):
            return self
        container = create_model(self.model, **self.options).backbone.get_submodule(self.container)
        names = [name for name, _ in container.named_children()]
        behind = {self._path(name): (name, following) for name, following in pairwise(names)}
        if stage not in behind:
            raise unknown("last frozen stage", stage, behind)
        last, following = behind[stage]
        return replace(self, last_frozen=last, place=self._path(following))

    def differs_from(self, usual: "Cut") -> dict[str, str]:
        """What this cut adds to the settings that figures depend on.

        Args:
            usual: the cut that needs no word; studies from before there were others have none.

        Returns:
            Nothing where this one is the usual one.
        """
        return {} if self == usual else {"last_frozen": self.last_path}

    @property
    def last_path(self) -> str:
        """What stands still last, as places have it."""
        return self._path(self.last_frozen)

    def _path(self, name: str) -> str:
        """A child of the container, as places have it."""
        return f"{self.container}.{name}" if self.container else name

    def located(self, blocks: str) -> str:
        """Blocks with a place.

        Args:
            blocks: with places of their own, or one without; empty for none.

        Returns:
            What ``create_model`` takes.
        """
        return f"{blocks}@{self.place}" if blocks and "@" not in blocks else blocks


CUTS = {
    "osnet_x0_25": Cut("osnet_x0_25", last_frozen="conv4", place="conv5.conv"),
    "mobilenet_v2": Cut(
        "mobilenet_v2",
        container="features",
        last_frozen="13",
        place="features.14",
        options={"last_stride": 1},
        input={"size": (128, 64), "resize": (128, 64)},  # what the tracklets of MARS have
    ),
    "i3d_inception": Cut("i3d_inception", last_frozen="Mixed_4f", place="MaxPool3d_5a_2x2"),
}
"""By the name of the network."""


@dataclass(frozen=True)
class Maps:
    """Feature maps of tracklets: float16 (N, 2, T, C, H, W), as they are and mirrored."""

    maps: Tensor

    @classmethod
    def of(cls, model: VideoModel, tracklets: Sequence[Tracklet]) -> "Maps":
        """Run the frozen stages once over as many frames of each tracklet as the model takes.

        Args:
            model: `frozen_stages`.
            tracklets: whose frames: the first one of each of as many equal parts.

        Returns:
            The maps.
        """
        chunks = make_chunks(tracklets, ClipSpec.of(model.input), sampling="first")
        found = []
        with torch.inference_mode():
            for i in range(len(chunks)):
                frames_tchw = chunks[i]["video"].transpose(0, 1)
                both = torch.cat([frames_tchw, frames_tchw.flip(-1)])
                found.append(model.backbone(both).half().unflatten(0, (2, -1)))
        return cls(torch.stack(found))

    def sample(self, index: int, frames: int, rng: np.random.Generator) -> Tensor:
        """Choose one frame from each of so many parts of a tracklet, mirrored or not.

        Args:
            index: of the tracklet.
            frames: how many.
            rng: where the choice comes from.

        Returns:
            (frames, C, H, W).
        """
        chosen = uniform_segments(self.maps.shape[2], frames, rng)
        return self.maps[index, int(rng.integers(2)), torch.as_tensor(chosen)]


def frozen_stages(cut: Cut, weights: str, **input: Any) -> VideoModel:
    """The network without what is trained.

    Args:
        cut: the network, and where it is divided.
        weights: of it.
        **input: of the network, as ``create_model`` takes it.

    Returns:
        The model, for inference.
    """
    model = create_model(cut.model, weights=weights, input={**cut.input, **input}, **cut.options).for_inference()
    model.backbone = nn.Sequential(*cut.children(model)[0].values())
    return model


def trained_part(cut: Cut, weights: str, blocks: str, classes: int, *, neck: str) -> VideoModel:
    """The block, and what stands behind the frozen stages, with a head.

    Args:
        cut: the network, and where it is divided.
        weights: of it.
        blocks: to insert, as `Cut.located` takes them.
        classes: number of identities or actions.
        neck: of the head.

    Returns:
        The model.
    """
    where = cut.located(blocks)
    model = create_model(cut.model, blocks=where, num_classes=classes, neck=neck, weights=weights, **cut.options)
    trained = cut.children(model)[1]
    model.backbone = nn.Sequential()
    for name, module in trained.items():
        model.backbone.add_module(name, module)
    return model


def check_blocks(cut: Cut, blocks: str) -> None:
    """Refuse what cannot be inserted, or not into what learns, before anything is computed for it.

    Args:
        cut: the network, and where it is divided.
        blocks: to insert.

    Raises:
        ValueError: there is no such block, option or place, or the place is not in what learns.
    """
    model = create_model(cut.model, blocks=cut.located(blocks), **cut.options)
    inside = ".".join(filter(None, ("backbone", cut.container)))
    trained = tuple(f"{inside}.{name}." for name in cut.children(model)[1])
    for path, module in model.named_modules():
        if isinstance(module, InsertedBlock) and not f"{path}.".startswith(trained):
            raise ValueError(
                f"{blocks!r} puts a block at {path.removeprefix('backbone.')}, which is not in what learns: "
                f"{', '.join(name.removeprefix('backbone.').rstrip('.') for name in trained)}. Give a place there, or "
                f"none for {cut.place}."
            )


def videos(records: Sequence[VideoRecord], spec: ClipSpec) -> Iterator[Tensor]:
    """The middle clip of each video.

    Args:
        records: the videos.
        spec: of a clip.

    Yields:
        float32 (1, 3, T, H, W). After the last one it is said how many have frames more than once, or are not as they
        announce, and of one of them why.

    Raises:
        ValueError: a video cannot be read.
    """
    views = make_views(records, spec, clips=1, crops=1)
    remarks: dict[str, list[str]] = {remark: [] for remark in REMARKS}
    for number, record in enumerate(records):
        item = views[number]
        if item["error"]:
            raise ValueError(
                f"{item['error']}. A study takes its set as it is: remove this clip from its list, or give another set."
            )
        for remark, found in remarks.items():
            found += [f"{path_on_one_line(record.path)}: {item[remark]}"] if item[remark] else []
        yield item["video"]
        if not (number + 1) % 100:
            status(f"maps of {number + 1} of {len(views)} videos")
    for remark, found in remarks.items():
        if found:
            status(f"warning: {len(found):,} of {len(views):,} videos: {REMARKS[remark]}, e.g. {found[0]}")


def outputs(model: VideoModel, maps_btchw: Tensor) -> Outputs:
    """What the head gives for maps of the frozen stages.

    Args:
        model: `trained_part`.
        maps_btchw: (B, T, C, H, W).

    Returns:
        Feature, embedding and logits.
    """
    batch, frames = maps_btchw.shape[:2]
    with ForwardPass(frames):
        x = model.backbone(maps_btchw.flatten(0, 1).float())
        x = x if model.tail is None else model.tail(x)[..., None, None]
    return model.head(model.pool(x.unflatten(0, (batch, -1)).transpose(1, 2), None))
