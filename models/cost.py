"""What a model costs: parameters and multiply-adds, counted on the meta device, so without computing anything."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from specvid.models.factory import VideoModel


def parameters_of(module: nn.Module) -> int:
    """How many numbers it learns."""
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(model: VideoModel) -> int:
    """Multiply-adds of one clip of ``model.input``, from pixels to the embedding: what papers and torchvision print as
    FLOPs (`torch.utils.flop_counter` counts two for each).

    Convolutions, matrix products and attention count; norms, pooling and what works on single numbers do not.
    """
    meta = copy.deepcopy(model).to("meta").eval() if any(not p.is_meta for p in model.parameters()) else model.eval()
    clip = torch.empty(1, 3, model.input.frames, *model.input.crop, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        meta.embed(clip)
    return counter.get_total_flops() // 2
