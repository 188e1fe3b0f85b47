"""The norms of a block on (B, C, N), with statistics over the valid positions only."""

import torch
from torch import Tensor, nn

NORMS = ("batch", "group", "none")


class BatchNorm(nn.BatchNorm1d):
    """Batch norm whose statistics in training do not see positions outside the mask."""

    def forward(self, x_bcn: Tensor, mask_bn: Tensor | None = None) -> Tensor:
        """(B, C, N) -> (B, C, N), 0 outside the mask."""
        if mask_bn is None:
            return super().forward(x_bcn)
        if not self.training:
            return super().forward(x_bcn) * mask_bn.unsqueeze(1)
        valid_mc = super().forward(x_bcn.mT[mask_bn])
        y_bnc = torch.zeros_like(x_bcn.mT, dtype=valid_mc.dtype)
        return y_bnc.masked_scatter(mask_bn.unsqueeze(-1), valid_mc).mT


class GroupNorm(nn.GroupNorm):
    """Group norm over the valid positions of each sample."""

    def forward(self, x_bcn: Tensor, mask_bn: Tensor | None = None) -> Tensor:
        """(B, C, N) -> (B, C, N), 0 outside the mask."""
        if mask_bn is None:
            return super().forward(x_bcn)
        batch, _, positions = x_bcn.shape
        x_bgcn = x_bcn.reshape(batch, self.num_groups, -1, positions)
        mask_b11n = mask_bn[:, None, None].to(x_bcn.dtype)
        count_b111 = (mask_b11n.sum(-1, keepdim=True) * x_bgcn.shape[2]).clamp_min(1)
        centred = (x_bgcn - (x_bgcn * mask_b11n).sum((2, 3), keepdim=True) / count_b111) * mask_b11n
        y_bgcn = centred * (centred.square().sum((2, 3), keepdim=True) / count_b111 + self.eps).rsqrt()
        y_bcn = y_bgcn.reshape(x_bcn.shape) * self.weight[:, None] + self.bias[:, None]
        return y_bcn * mask_bn.unsqueeze(1)


class NoNorm(nn.Module):
    """The identity, 0 outside the mask."""

    def forward(self, x_bcn: Tensor, mask_bn: Tensor | None = None) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        return x_bcn if mask_bn is None else x_bcn * mask_bn.unsqueeze(1)


def make_norm(norm: str, channels: int, groups: int) -> nn.Module:
    """``batch``, ``group`` (with ``groups``) or ``none``; anything else is a ``ValueError``."""
    if norm not in NORMS:
        raise ValueError(f"norm={norm!r} is unknown: choose from {', '.join(map(repr, NORMS))}.")
    if norm == "batch":
        return BatchNorm(channels)
    return GroupNorm(groups, channels) if norm == "group" else NoNorm()
