"""Criss-cross affinity (CCNet, 1811.11721, equation 1): each position attends to those that share all but one
coordinate with it.

    2D: the row and the column of a position, H + W - 1 of them;    3D: also its time line, T + H + W - 2 of them
    A_ij = softmax_j(theta_i . phi_j) over these j jointly, 0 elsewhere

O(N·(T + H + W)·(Cs + D)) instead of O(N^2). Two rounds in 2D, three in 3D, reach every position.
"""

import math

import torch
from torch import Tensor

from specvid.models.blocks.affinities.base import Affinity
from specvid.models.blocks.operators import Operator
from specvid.models.blocks.pointwise import Pointwise


class CrissCrossAffinity(Affinity):
    """Joint softmax over the lines through a position.

    Args:
        channels: C of the input.
        inner: Cs of theta and phi.
        bias: theta and phi have a bias.
    """

    def __init__(self, channels: int, inner: int, *, bias: bool = False) -> None:
        super().__init__()
        self.theta = Pointwise(channels, inner, bias=bias)
        self.phi = Pointwise(channels, inner, bias=bias)

    def embed(self, x_bcn: Tensor) -> tuple[Tensor, ...]:
        """theta and phi (B, Cs, N)."""
        return self.theta(x_bcn), self.phi(x_bcn)

    def operator(self, features: tuple[Tensor, ...], sizes: tuple[int, ...], mask_bn: Tensor | None) -> Operator:
        """The lines along each of ``sizes``."""
        return CrissCross(*features, sizes=sizes, mask_bn=mask_bn)


class CrissCross(Operator):
    """A as weights along each axis; a position itself counts once, on the last axis.

    Args:
        theta_bcn: queries (B, Cs, N).
        phi_bcn: keys (B, Cs, N).
        sizes: (T, H, W), (H, W) or (T,).
        mask_bn: (B, N) bool, True where a position is valid.
    """

    def __init__(self, theta_bcn: Tensor, phi_bcn: Tensor, *, sizes: tuple[int, ...], mask_bn: Tensor | None) -> None:
        self.sizes = sizes
        self.positions = theta_bcn.shape[-1]
        self.mask_bn = mask_bn
        scores = []  # per axis: (B, *sizes, n), the scores of a position with the n on its line
        for axis, size in enumerate(sizes):
            score = torch.matmul(self._lines(theta_bcn, axis).mT, self._lines(phi_bcn, axis))  # (B, ..., n, n)
            if mask_bn is not None:
                valid = self._lines(mask_bn.unsqueeze(1), axis)
                score = score.masked_fill(~valid, torch.finfo(score.dtype).min)
            if axis < len(sizes) - 1:
                itself = torch.eye(size, dtype=torch.bool, device=score.device)
                score = score.masked_fill(itself, -torch.inf)
            scores.append(score.movedim(-2, axis + 1))
        self.weights = torch.cat(scores, dim=-1).softmax(-1).split(sizes, dim=-1)

    def apply(self, z_bdn: Tensor) -> Tensor:
        """A z: (B, D, N) -> (B, D, N)."""
        y_bdn = torch.zeros_like(z_bdn)
        for axis, weight in enumerate(self.weights):
            line = torch.matmul(self._lines(z_bdn, axis), weight.movedim(axis + 1, -2).mT)  # (B, ..., D, n)
            y_bdn = y_bdn + line.movedim(-1, axis + 1).movedim(-1, 1).reshape(z_bdn.shape)
        return y_bdn if self.mask_bn is None else y_bdn * self.mask_bn.unsqueeze(1)

    def rows(self, positions: Tensor) -> Tensor:
        """(P,) -> (B, P, N): zero outside the lines."""
        batch = self.weights[0].shape[0]
        rows = self.weights[0].new_zeros(batch, len(positions), self.positions)
        coordinates = torch.unravel_index(positions, self.sizes)
        strides = [math.prod(self.sizes[axis + 1 :]) for axis in range(len(self.sizes))]
        for axis, (size, stride) in enumerate(zip(self.sizes, strides, strict=True)):
            start = positions - coordinates[axis] * stride
            index = start[:, None] + stride * torch.arange(size, device=positions.device)
            weight = self.weights[axis].reshape(batch, self.positions, size)[:, positions]
            rows = rows.scatter_add(-1, index.expand(batch, -1, -1), weight)
        return rows if self.mask_bn is None else rows * self.mask_bn[:, positions].unsqueeze(-1)

    def dense(self) -> Tensor:
        """(B, N, N)."""
        return self.rows(torch.arange(self.positions, device=self.weights[0].device))

    def _lines(self, x_bcn: Tensor, axis: int) -> Tensor:
        """(B, C, N) -> (B, *other sizes, C, n): the lines along one axis."""
        grid = x_bcn.reshape(*x_bcn.shape[:2], *self.sizes)
        return grid.movedim(1, -1).movedim(axis + 1, -1)
