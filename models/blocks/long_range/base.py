"""What long-range blocks have in common: y = x + W f(x), and scores by position."""

from abc import abstractmethod
from math import prod

import torch
from torch import Tensor, nn

from specvid.models.blocks.graph_block import GraphBlock
from specvid.models.blocks.pointwise import Pointwise


class LongRangeBlock(GraphBlock):
    """A block on (B, C, *dims) features that adds W f(x), with a 1x1 convolution W.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: what f looks at: ``st`` (the clip), ``s`` (each frame) or ``t`` (each place).
        width: channels of f(x).
        bias: W has a bias.
        project: there is a W.
        residual: x is added.
        identity: W starts at 0.

    Raises:
        ValueError: the mode does not fit the dims, or options do not go together.
    """

    def __init__(
        self,
        channels: int,
        *,
        dims: int,
        mode: str,
        width: int,
        bias: bool,
        project: bool,
        residual: bool,
        identity: bool,
    ) -> None:
        super().__init__(channels, dims=dims, mode=mode, identity=identity)
        if identity and not (project and residual):
            raise ValueError(
                f"project={project}, residual={residual}: a block without either cannot start as the identity; give "
                "identity=False."
            )
        if not project and width != channels:
            raise ValueError(
                f"project=False needs an inner width of {channels}, the channels of the block: not {width}."
            )
        self.residual = residual
        self.out = Pointwise(width, channels, bias=bias) if project else None
        if identity:
            for parameter in self.out.parameters():  # type: ignore[union-attr]
                nn.init.zeros_(parameter)

    def transform(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        y_bcn = self.branch(x_bcn, sizes, mask_bn)
        if self.out is not None:
            y_bcn = self.out(y_bcn)
        return x_bcn + y_bcn if self.residual else y_bcn

    @abstractmethod
    def branch(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """f of each graph.

        Args:
            x_bcn: features (B, C, N), one batch entry per graph.
            sizes: (T, H, W), (H, W) or (T,), with product N.
            mask_bn: (B, N) bool, True where a position is valid.

        Returns:
            (B, width, N), anything outside the mask.
        """


def position_scores(q: Tensor, tables: list[Tensor]) -> Tensor:
    """What queries give to keys for where they lie, one axis after the other: sum over axes of q_i . r_axis(i, j).

    Args:
        q: queries (B, heads, ..., *sizes, d), with as many sizes as there are tables.
        tables: for each axis r (its size, its size of the keys, d).

    Returns:
        (B, heads, ..., N, M) for N queries and M keys.
    """
    axes, depth = len(tables), q.shape[-1]
    lead, sizes = q.shape[: -axes - 1], q.shape[-axes - 1 : -1]
    total: Tensor | None = None
    for axis, table in enumerate(tables):
        before, own, after = prod(sizes[:axis]), sizes[axis], prod(sizes[axis + 1 :])
        along = torch.einsum("...blad,lmd->...blam", q.reshape(*lead, before, own, after, depth), table)
        keys = [1] * axis + [table.shape[1]] + [1] * (axes - 1 - axis)
        along = along.reshape(*lead, prod(sizes), *keys)
        total = along if total is None else total + along
    assert total is not None
    return total.reshape(*lead, prod(sizes), prod([table.shape[1] for table in tables]))
