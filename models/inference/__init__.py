"""`for_inference`: a copy of a network without what only training needs, which computes the same numbers faster."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from specvid.models.inference.batch_norms import fold_batch_norms
from specvid.models.inference.blocks import fold_blocks
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
    """

    norms: int
    kept: tuple[str, ...]
    units: int
    left_out: tuple[str, ...]

    def __str__(self) -> str:
        text = f"{self.norms} of {counted(self.norms + len(self.kept), 'batch norm')} and "
        text += f"{counted(self.units, 'unit')} of blocks folded"
        return text + (f", {counted(len(self.left_out), 'block')} with gates at 0 left out" if self.left_out else "")


@torch.no_grad()
def for_inference(model: VideoModel) -> VideoModel:
    """A copy of a network for inference alone; it computes the same, to rounding.

    Batch norms go into the convolutions before them, norms and gates of nonlocal blocks into the weights of the block,
    and blocks whose gates are all 0 are left out.

    Args:
        model: The network; it is not changed.

    Returns:
        The copy, in eval mode, without gradients; ``folded`` says what was done. It is neither trained nor saved.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    units, left_out = fold_blocks(folded)
    norms, kept = fold_batch_norms(folded)
    folded.folded = Folded(norms, kept, units, left_out)
    return folded
