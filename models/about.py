"""What a backbone costs, found by building it; `table` has the same for all backbones, written down.

Costs are counted on the meta device, that is, without computing anything.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from specvid.models.factory import create_model
from specvid.models.table import BackboneInfo
from specvid.models.video_model import VideoModel


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


def model_on_meta(
    name: str, *, blocks: str = "", conv: str = "", input: Mapping[str, object] | None = None
) -> VideoModel:
    """Build a model on the meta device, in eval mode: without memory for its weights.

    Args:
        name: A backbone.
        blocks: Insertions, as of `specvid.create_model`.
        conv: Replaced convolutions, likewise.
        input: Changes to the backbone's `InputSpec`.

    Returns:
        The model, which computes shapes and no numbers.

    Raises:
        ValueError: As `specvid.create_model`.
    """
    with cheapest_device(name):
        return create_model(name, blocks=blocks, conv=conv, input=input).to("meta").eval()


def cheapest_device(name: str) -> torch.device:
    """Where to build a backbone at the least cost: on meta, or on the CPU where another library computes meanwhile.

    Args:
        name: A backbone.

    Returns:
        The device.
    """
    return torch.device("cpu" if ":" in name else "meta")
