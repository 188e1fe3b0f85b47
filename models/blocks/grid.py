"""Which positions form one graph: all of a clip (``st``), the places of one frame (``s``), or the times of one place
(``t``).

A block flattens (B, C, T, H, W) to (B, C, N), N = T·H·W, for its 1x1 convolutions; the affinity then works on graphs
(B', C, n):

    st: B' = B,     n = T·H·W        s: B' = B·T, n = H·W        t: B' = B·H·W, n = T

With two dimensions (H, W) ``s`` and ``st`` are the same; with one dimension (T) so are ``t`` and ``st``.
"""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

MODES = ("st", "s", "t", "t+s")


def check_mode(mode: str, dims: int) -> None:
    """Raise ``ValueError`` unless inputs with ``dims`` dimensions (1: T; 2: H, W; 3: T, H, W) have graphs of this
    ``mode``."""
    if mode not in MODES:
        raise ValueError(
            f"mode={mode!r} is unknown: a graph spans 'st' (space-time), 's' (space), 't' (time) or 't+s' (one after "
            f"the other)."
        )
    if dims not in (1, 2, 3):
        raise ValueError(f"dims={dims!r} is not possible: a block works on 1 (T), 2 (H, W) or 3 (T, H, W) dimensions.")
    lacking = {1: ("s", "t+s"), 2: ("t", "t+s"), 3: ()}[dims]
    if mode in lacking:
        raise ValueError(
            f"mode={mode!r} needs {'space' if dims == 1 else 'time'}, which dims={dims} does not have; use mode='st' "
            f"or dims=3."
        )


@dataclass(frozen=True)
class Grid:
    """The positions of one input: its ``sizes`` ((T, H, W), (H, W) or (T,)) and the ``mode`` that splits them into
    graphs."""

    sizes: tuple[int, ...]
    mode: str = "st"

    @property
    def whole(self) -> bool:
        """True where the graph spans all positions and nothing needs folding."""
        return self.mode == "st" or len(self.sizes) < 3

    @property
    def graph_sizes(self) -> tuple[int, ...]:
        """Sizes of one graph: (T, H, W), (H, W) or (T,)."""
        if self.whole:
            return self.sizes
        return self.sizes[1:] if self.mode == "s" else self.sizes[:1]

    def fold(self, x_bcn: Tensor) -> Tensor:
        """(B, C, N) -> (B', C, n): one batch entry per graph."""
        if self.whole:
            return x_bcn
        batch, channels, _ = x_bcn.shape
        frames, places = self.sizes[0], prod(self.sizes[1:])
        x = x_bcn.reshape(batch, channels, frames, places)
        order = (0, 2, 1, 3) if self.mode == "s" else (0, 3, 1, 2)
        return x.permute(order).reshape(-1, channels, places if self.mode == "s" else frames)

    def unfold(self, x_bcn: Tensor, batch: int) -> Tensor:
        """(B', C, n) -> (B, C, N): the inverse of :meth:`fold` for B = ``batch``."""
        if self.whole:
            return x_bcn
        channels = x_bcn.shape[1]
        frames, places = self.sizes[0], prod(self.sizes[1:])
        if self.mode == "s":
            x = x_bcn.reshape(batch, frames, channels, places).permute(0, 2, 1, 3)
        else:
            x = x_bcn.reshape(batch, places, channels, frames).permute(0, 2, 3, 1)
        return x.reshape(batch, channels, frames * places)


def flat_mask(mask: Tensor | None, x: Tensor) -> Tensor | None:
    """A mask of valid positions, (B, T) or (B, *dims), as (B, N) bool for ``x`` (B, C, *dims).

    Raises:
        ValueError: the shape is neither of the two.
    """
    if mask is None:
        return None
    batch, sizes = x.shape[0], tuple(x.shape[2:])
    if mask.shape == (batch, *sizes):
        return mask.reshape(batch, -1).to(torch.bool)
    if mask.shape == (batch, sizes[0]):
        expanded = mask.reshape(batch, sizes[0], *(1 for _ in sizes[1:])).expand(batch, *sizes)
        return expanded.reshape(batch, -1).to(torch.bool)
    raise ValueError(
        f"mask has shape {tuple(mask.shape)}, but an input of shape {tuple(x.shape)} needs (B, T) = "
        f"{(batch, sizes[0])} "
        f"or (B, *dims) = {(batch, *sizes)}: True where a position is valid."
    )
