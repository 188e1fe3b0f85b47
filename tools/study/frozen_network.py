"""OSNet in two: the stages to conv4, which are frozen and run once, and what stands behind them, which is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from specvid.datasets.clips.sampling import uniform_segments
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.layouts.reid_set import Tracklet
from specvid.models import VideoModel, create_model
from specvid.models.clip import ForwardPass
from specvid.models.heads import Outputs
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.pipelines.reid.data import make_chunks

PLACE = "conv5.conv"
"""Between conv4 and what is trained."""


@dataclass(frozen=True)
class Maps:
    """Feature maps of tracklets: float16 (N, 2, T, C, H, W), as they are and mirrored."""

    maps: Tensor

    @classmethod
    def of(cls, model: VideoModel, tracklets: Sequence[Tracklet]) -> "Maps":
        """Run the frozen stages once over the first frames of each tracklet.

        Args:
            model: `frozen_stages`.
            tracklets: whose frames.

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

    @classmethod
    def read(cls, file: Path, model: VideoModel, tracklets: Sequence[Tracklet]) -> "Maps":
        """Read maps from a file, which is made where it is not there.

        Args:
            file: where they lie.
            model: `frozen_stages`.
            tracklets: whose frames.

        Returns:
            The maps.
        """
        if not file.exists():
            save_file({"maps": cls.of(model, tracklets).maps}, file)
        return cls(load_file(file)["maps"])

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


def frozen_stages(weights: str, frames: int) -> VideoModel:
    """OSNet without what stands behind conv4.

    Args:
        weights: of OSNet.
        frames: of a clip.

    Returns:
        The model.
    """
    model = create_model("osnet_x0_25", weights=weights, input={"frames": frames, "stride": 1}).eval()
    model.backbone = nn.Sequential(*list(model.backbone.children())[: _first_trained(model)])
    return model


def trained_part(weights: str, blocks: str, classes: int) -> VideoModel:
    """The block, and what stands behind conv4, with a head for the identities.

    Args:
        weights: of OSNet.
        blocks: insertions.
        classes: number of identities.

    Returns:
        The model.
    """
    where = f"{blocks}@{PLACE}" if blocks else ""
    model = create_model("osnet_x0_25", blocks=where, num_classes=classes, neck="bnneck", weights=weights)
    names = dict(list(model.backbone.named_children())[_first_trained(model) :])
    model.backbone = nn.Sequential()
    for name, module in names.items():
        model.backbone.add_module(name, module)
    assert bool(blocks) == any(isinstance(module, InsertedBlock) for module in model.backbone.modules())
    return model


def _first_trained(model: VideoModel) -> int:
    return [name for name, _ in model.backbone.named_children()].index("conv4") + 1


def outputs(model: VideoModel, maps_btchw: Tensor) -> Outputs:
    """What the head gives for maps of conv4.

    Args:
        model: `trained_part`.
        maps_btchw: (B, T, C, H, W).

    Returns:
        Feature, embedding and logits.
    """
    batch, frames = maps_btchw.shape[:2]
    assert model.tail is not None
    with ForwardPass(frames):
        vectors = model.tail(model.backbone(maps_btchw.flatten(0, 1).float())).unflatten(0, (batch, -1))
    return model.head(model.pool(vectors.transpose(1, 2)[..., None, None], None))
