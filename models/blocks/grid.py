"""Which positions form one graph: all of a clip (``st``), those of one frame (``s``), or one place over time (``t``).

A block flattens (B, C, T, H, W) to (B, C, N), N = T·H·W, for its 1x1 convolutions; the affinity then works on graphs
(B', C, n):

    st: B' = B,     n = T·H·W        s: B' = B·T, n = H·W        t: B' = B·H·W, n = T

With two dimensions (H, W) ``s`` and ``st`` are the same; with one dimension (T) so are ``t`` and ``st``.
"""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

MODES = ("st", "s", "t", "t+s")
AXES = ("frames", "height", "width")


def check_mode(mode: str, dims: int) -> None:
    """Check that inputs of some dimensions have graphs of a mode.

    Args:
        mode: ``st``, ``s``, ``t`` or ``t+s``.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).

    Raises:
        ValueError: either is unknown, or the dimensions lack what the mode needs.
    """
    if mode not in MODES:
        raise ValueError(
            f"mode={mode!r} is unknown: a graph spans 'st' (space-time), 's' (space), 't' (time) or 't+s' (one after "
            "the other)."
        )
    if dims not in (1, 2, 3):
        raise ValueError(f"dims={dims!r} is not possible: a block works on 1 (T), 2 (H, W) or 3 (T, H, W) dimensions.")
    lacking = {1: ("s", "t+s"), 2: ("t", "t+s"), 3: ()}[dims]
    if mode in lacking:
        raise ValueError(
            f"mode={mode!r} needs {'space' if dims == 1 else 'time'}, which dims={dims} does not have; use mode='st' "
            "or dims=3."
        )


def graph_axes(dims: int, mode: str) -> tuple[str, ...]:
    """The names of the axes of a graph, in their order.

    Args:
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: ``st``, ``s`` or ``t``.

    Returns:
        Of `AXES`.
    """
    if mode == "t" or dims == 1:
        return AXES[:1]
    return AXES[1:] if mode == "s" or dims == 2 else AXES


def graph_convolution(dims: int, mode: str) -> type[nn.Conv1d | nn.Conv2d | nn.Conv3d]:
    """The convolution over all axes of a graph.

    Args:
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: ``st``, ``s`` or ``t``.

    Returns:
        The class of the layer.
    """
    return (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(graph_axes(dims, mode)) - 1]


def check_features(x: Tensor, channels: int, dims: int) -> None:
    """Check that features are those that a block was made for.

    Args:
        x: features (B, C, *dims).
        channels: C of the block.
        dims: 1, 2 or 3, of the block.

    Raises:
        ValueError: they have another number of channels or dimensions.
    """
    if x.dim() != dims + 2 or x.shape[1] != channels:
        names = {1: "T", 2: "H, W", 3: "T, H, W"}[dims]
        raise ValueError(
            f"input has shape {tuple(x.shape)}, but this block was made for dims={dims} and {channels} channels: "
            f"(B, {channels}, {names}). Make the block with the dims and channels of its place."
        )


@dataclass(frozen=True)
class Grid:
    """The positions of one input, and how they are split into graphs.

    Args:
        sizes: (T, H, W), (H, W) or (T,).
        mode: ``st``, ``s`` or ``t``.
    """

    sizes: tuple[int, ...]
    mode: str = "st"

    @property
    def is_one_graph(self) -> bool:
        """Whether one graph spans all positions, so that nothing needs folding."""
        return self.mode == "st" or len(self.sizes) < 3

    @property
    def graph_sizes(self) -> tuple[int, ...]:
        """Sizes of one graph: (T, H, W), (H, W) or (T,)."""
        if self.is_one_graph:
            return self.sizes
        return self.sizes[1:] if self.mode == "s" else self.sizes[:1]

    @property
    def graphs(self) -> int:
        """The number of graphs in one sample."""
        return prod(self.sizes) // prod(self.graph_sizes)

    def fold(self, x_bcn: Tensor) -> Tensor:
        """Make each graph an entry of the batch: (B, C, N) -> (B', C, n)."""
        if self.is_one_graph:
            return x_bcn
        batch, channels, _ = x_bcn.shape
        frames, places = self.sizes[0], prod(self.sizes[1:])
        x = x_bcn.reshape(batch, channels, frames, places)
        order = (0, 2, 1, 3) if self.mode == "s" else (0, 3, 1, 2)
        return x.permute(order).reshape(-1, channels, places if self.mode == "s" else frames)

    def unfold(self, x_bcn: Tensor, batch: int) -> Tensor:
        """The inverse of :meth:`fold` for B = ``batch``: (B', C, n) -> (B, C, N)."""
        if self.is_one_graph:
            return x_bcn
        channels = x_bcn.shape[1]
        frames, places = self.sizes[0], prod(self.sizes[1:])
        if self.mode == "s":
            x = x_bcn.reshape(batch, frames, channels, places).permute(0, 2, 1, 3)
        else:
            x = x_bcn.reshape(batch, places, channels, frames).permute(0, 2, 3, 1)
        return x.reshape(batch, channels, frames * places)


def flat_mask(mask: Tensor | None, x: Tensor) -> Tensor | None:
    """Flatten a mask of valid positions as the features are flattened.

    Args:
        mask: (B, T) or (B, *dims), True where a position is valid; ``None``: all are.
        x: features (B, C, *dims).

    Returns:
        (B, N) bool, or ``None``.

    Raises:
        ValueError: the shape of the mask is neither of the two.
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
        f"{(batch, sizes[0])} or (B, *dims) = {(batch, *sizes)}: True where a position is valid."
    )
