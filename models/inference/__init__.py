"""`for_inference`: a copy of a network without what only training needs, which computes the same numbers faster."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from specvid.models.checkpointing import remove_checkpoints
from specvid.models.inference.batch_norms import fold_batch_norms
from specvid.models.inference.blocks import fold_blocks
from specvid.models.insertion.convolutions import merge_conv
from specvid.text import counted

if TYPE_CHECKING:
    from specvid.models.video_model import VideoModel


@dataclass(frozen=True)
class Folded:
    """What became of a network that was folded.

    Attributes:
        norms: batch norms that went into the convolution or linear layer before them.
        kept: names of batch norms that stand, for what they read is read by others too, or is no such layer's.
        units: units of nonlocal blocks whose norm and gate went into their weights.
        left_out: names of inserted blocks that were the identity, every gate at 0.
        merged: paths of replaced convolutions that are plain ones again (`specvid.merge_conv`).
    """

    norms: int
    kept: tuple[str, ...]
    units: int
    left_out: tuple[str, ...]
    merged: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.norms} of {counted(self.norms + len(self.kept), 'batch norm')} and "
        text += f"{counted(self.units, 'unit')} of blocks folded"
        text += f", {counted(len(self.left_out), 'block')} with gates at 0 left out" if self.left_out else ""
        return text + (f", {counted(len(self.merged), 'replaced convolution')} merged" if self.merged else "")


@torch.no_grad()
def for_inference(model: VideoModel) -> VideoModel:
    """A copy of a network for inference alone; it computes the same, to rounding.

    Replaced convolutions whose kernel is the same for all clips become plain ones, batch norms go into the convolutions
    before them, norms and gates of nonlocal blocks into the weights of the block, and blocks whose gates are all 0 are
    left out.

    Args:
        model: The network; it is not changed.

    Returns:
        The copy, in eval mode, without gradients; ``folded`` says what was done. It is neither trained nor saved.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    remove_checkpoints(folded)
    merged = merge_conv(folded)
    units, left_out = fold_blocks(folded)
    norms, kept = fold_batch_norms(folded)
    folded.folded = Folded(norms, kept, units, left_out, tuple(merged))
    return folded
