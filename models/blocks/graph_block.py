"""What channel and long-range blocks have in common: they compute on graphs of positions, within a mask."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from specvid.models.blocks.grid import Grid, check_features, check_mode, flat_mask


class GraphBlock(nn.Module, ABC):
    """A block on (B, C, *dims) features that looks at all positions of a graph at once, and at no other one.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: what a graph is: ``st`` (the clip), ``s`` (each frame) or ``t`` (each place).
        identity: the block starts as the identity.

    Raises:
        ValueError: the mode does not fit the dims.
    """

    def __init__(self, channels: int, *, dims: int, mode: str, identity: bool) -> None:
        super().__init__()
        check_mode(mode, dims)
        if mode == "t+s":
            raise ValueError("mode='t+s' goes with nonlocal blocks: insert a block of mode='t' and one of mode='s'.")
        self.channels = channels
        self.dims = dims
        self.mode = mode
        self.identity = identity

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Run the block.

        Args:
            x: features (B, C, *dims).
            mask: (B, T) or (B, *dims) bool, True where a position is valid. The others have no influence, and
                pass through unchanged.

        Returns:
            (B, C, *dims).

        Raises:
            ValueError: the number of dimensions or channels is not the block's, or the mask does not fit.
        """
        check_features(x, self.channels, self.dims)
        grid = Grid(tuple(x.shape[2:]), self.mode)
        x_bcn, mask_bn = x.flatten(2), flat_mask(mask, x)
        folded_mask = None if mask_bn is None else grid.fold(mask_bn.unsqueeze(1)).squeeze(1)
        y_bcn = self.transform(grid.fold(x_bcn), grid.graph_sizes, folded_mask)
        y_bcn = grid.unfold(y_bcn, x.shape[0])
        if mask_bn is not None:
            y_bcn = torch.where(mask_bn.unsqueeze(1), y_bcn, x_bcn)
        return y_bcn.reshape(x.shape)

    @abstractmethod
    def transform(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """What the block computes on each graph.

        Args:
            x_bcn: features (B, C, N), one batch entry per graph.
            sizes: (T, H, W), (H, W) or (T,), with product N.
            mask_bn: (B, N) bool, True where a position is valid.

        Returns:
            (B, C, N), anything outside the mask.
        """

    def extra_repr(self) -> str:
        """Shape of the block, for ``repr``."""
        return f"channels={self.channels}, dims={self.dims}, mode={self.mode!r}, identity={self.identity}"
