"""What backbones there are and what they are: cost, clips and weights.

Costs are counted on the meta device, that is, without computing anything.
"""

from __future__ import annotations

import copy
import difflib
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from specvid.modality import DESCRIPTIONS
from specvid.models.backbones.registry import list_backbones
from specvid.models.factory import create_model
from specvid.models.spec import InputSpec, Pretrained
from specvid.models.video_model import VideoModel

SCHEMES = {
    "inflated": "any of torchvision's convolutional image networks as a video network, e.g. inflated:resnet50",
    "timm": "timm's image networks per frame, e.g. timm:vit_tiny_patch16_224; needs pip install 'specvid[timm]'",
    "mmaction": "mmaction2's backbones, e.g. 'mmaction:ResNet3d(depth=18)'; needs pip install 'specvid[mmaction]'",
}
"""What may stand before the colon of a backbone's name (`specvid.models.backbones.registry.list_schemes`)."""


@dataclass(frozen=True)
class BackboneInfo:
    """One backbone.

    Attributes:
        name: For `specvid.create_model`.
        per_frame: Whether it is an image network.
        parameters: Of the bare backbone.
        gmacs: 10^9 multiply-adds of one clip of ``input``.
        features: Length of the vector that the head gets.
        input: The clips it is made for.
        pretrained: Published weights by name.
    """

    name: str
    per_frame: bool
    parameters: int
    gmacs: float
    features: int
    input: InputSpec
    pretrained: Mapping[str, Pretrained]


def match_backbones(pattern: str) -> list[str]:
    """Names of the backbones that fit a pattern.

    Args:
        pattern: With ``*``, ``?`` or ``[`` as for file names, else a part of the name.

    Returns:
        The names, sorted.

    Raises:
        ValueError: No backbone fits.
    """
    names = list_backbones()
    glob = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    found = [name for name in names if fnmatch.fnmatchcase(name, glob)]
    if not found:
        near = difflib.get_close_matches(pattern.strip("*"), names, n=3, cutoff=0.4)
        hint = f" Near it: {', '.join(near)}." if near else ""
        raise ValueError(
            f"pattern {pattern!r} fits none of the {len(names)} backbones.{hint} Without one, all are listed."
        )
    return found


def backbone_info(name: str) -> BackboneInfo:
    """Describe a backbone without blocks: its clips, cost, weights and licence.

    Args:
        name: A backbone (`list_backbones`).

    Returns:
        What is known about it, computed on the meta device.

    Raises:
        ValueError: The backbone is unknown.
    """
    model = model_on_meta(name)
    return BackboneInfo(
        name=name,
        per_frame=model.dims == 2,
        parameters=count_parameters(model),
        gmacs=multiply_adds(model) / 1e9,
        features=model.embedding_dim,
        input=model.input,
        pretrained=model.pretrained,
    )


def count_parameters(module: nn.Module) -> int:
    """Number of parameters of a module.

    Args:
        module: Any module.

    Returns:
        How many numbers its parameters have, frozen ones included.
    """
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(model: VideoModel) -> int:
    """Multiply-adds of one clip of ``model.input``, from pixels to the embedding.

    This is what papers and torchvision print as FLOPs (`torch.utils.flop_counter` counts two for each). Convolutions,
    matrix products and attention count; norms, pooling and elementwise functions do not.

    Args:
        model: A model; a copy on the meta device is counted unless it is there already.

    Returns:
        The number of multiply-adds.
    """
    meta = copy.deepcopy(model).to("meta").eval() if any(not p.is_meta for p in model.parameters()) else model.eval()
    clip = torch.empty(model.input.shape(3), device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        meta.embed(clip)
    return counter.get_total_flops() // 2


def model_on_meta(name: str, *, blocks: str = "", input: Mapping[str, object] | None = None) -> VideoModel:
    """Build a model on the meta device, in eval mode: without memory for its weights.

    Args:
        name: A backbone.
        blocks: Insertions, as of `specvid.create_model`.
        input: Changes to the backbone's `InputSpec`.

    Returns:
        The model, which computes shapes and no numbers.

    Raises:
        ValueError: As `specvid.create_model`.
    """
    with cheapest_device(name):
        return create_model(name, blocks=blocks, input=input).to("meta").eval()


def clip_text(spec: InputSpec) -> str:
    """The clips of an input in words.

    Args:
        spec: The clips.

    Returns:
        E.g. ``16 x 112 x 112, every 2nd frame``: frames, height and width in px, stride, and what is seen, if not RGB.
    """
    height, width = spec.crop
    every = {1: "every frame", 2: "every 2nd frame", 3: "every 3rd frame"}.get(
        spec.stride, f"every {spec.stride}th frame"
    )
    seen = "" if spec.modality == "rgb" else f", {DESCRIPTIONS[spec.modality]}"
    return f"{spec.frames} x {height} x {width}, {every}{seen}"


def cheapest_device(name: str) -> torch.device:
    """Where to build a backbone at the least cost: on meta, or on the CPU where another library computes meanwhile.

    Args:
        name: A backbone.

    Returns:
        The device.
    """
    return torch.device("cpu" if ":" in name else "meta")
