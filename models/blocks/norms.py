"""The norms of a block on (B, C, N), with statistics over the valid positions only.

With a mask, sums over positions are taken in float32 at least: their number alone overflows float16. Every norm has
``forward(x_bcn, mask_bn=None)``, (B, C, N) and (B, N) bool -> (B, C, N), 0 outside the mask.
"""

import torch
from torch import Tensor, nn

from specvid.models.blocks.precision import at_least_float32, full_precision

NORMS = ("batch", "group", "none")


class BatchNorm(nn.BatchNorm1d):
    """Batch norm whose statistics in training do not see positions outside the mask."""

    def forward(self, x_bcn: Tensor, mask_bn: Tensor | None = None) -> Tensor:
        """(B, C, N) -> (B, C, N), 0 outside the mask."""
        if mask_bn is None:
            return super().forward(x_bcn)
        if not self.training:
            return super().forward(x_bcn) * mask_bn.unsqueeze(1)
        with full_precision(x_bcn):
            return self._valid_only(at_least_float32(x_bcn), mask_bn.unsqueeze(1)).to(x_bcn.dtype)

    def _valid_only(self, x_bcn: Tensor, mask_b1n: Tensor) -> Tensor:
        """In sums rather than on the valid positions picked out: their number would be unknown to a compiler."""
        weight_b1n = mask_b1n.to(x_bcn.dtype)
        count = weight_b1n.sum().clamp_min(1)
        mean_c = x_bcn.masked_fill(~mask_b1n, 0).sum((0, 2)) / count
        centred_bcn = (x_bcn - mean_c[:, None]).masked_fill(~mask_b1n, 0)
        variance_c = centred_bcn.square().sum((0, 2)) / count
        self._update(mean_c.detach(), (variance_c * count / (count - 1).clamp_min(1)).detach())
        scale_c = (variance_c + self.eps).rsqrt() * self.weight
        return centred_bcn * scale_c[:, None] + self.bias[:, None] * weight_b1n

    def _update(self, mean_c: Tensor, variance_c: Tensor) -> None:
        """Update the running statistics as batch norm does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        momentum = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.copy_((1 - momentum) * self.running_mean + momentum * mean_c)
        self.running_var.copy_((1 - momentum) * self.running_var + momentum * variance_c)


class GroupNorm(nn.GroupNorm):
    """Group norm over the valid positions of each sample."""

    def forward(self, x_bcn: Tensor, mask_bn: Tensor | None = None) -> Tensor:
        """(B, C, N) -> (B, C, N), 0 outside the mask."""
        if mask_bn is None:
            return super().forward(x_bcn)
        with full_precision(x_bcn):
            y_bcn = self._valid_only(at_least_float32(x_bcn), mask_bn.unsqueeze(1))
            return y_bcn.to(torch.promote_types(x_bcn.dtype, self.weight.dtype))  # autocast's own: float32

    def _valid_only(self, x_bcn: Tensor, mask_b1n: Tensor) -> Tensor:
        """Each group of channels normalised over its valid positions."""
        batch, channels, positions = x_bcn.shape
        x_bgcn = x_bcn.masked_fill(~mask_b1n, 0).reshape(batch, self.num_groups, channels // self.num_groups, positions)
        weight_b11n = mask_b1n.unsqueeze(1).to(x_bcn.dtype)
        count_b111 = (weight_b11n.sum(-1, keepdim=True) * x_bgcn.shape[2]).clamp_min(1)
        centred = (x_bgcn - x_bgcn.sum((2, 3), keepdim=True) / count_b111) * weight_b11n
        y_bgcn = centred * (centred.square().sum((2, 3), keepdim=True) / count_b111 + self.eps).rsqrt()
        return (y_bgcn.reshape(x_bcn.shape) * self.weight[:, None] + self.bias[:, None]) * mask_b1n


class NoNorm(nn.Module):
    """The identity, 0 outside the mask."""

    def forward(self, x_bcn: Tensor, mask_bn: Tensor | None = None) -> Tensor:
        """(B, C, N) -> (B, C, N), 0 outside the mask."""
        return x_bcn if mask_bn is None else x_bcn * mask_bn.unsqueeze(1)


class Shift(nn.Module):
    """What is left of a batch norm whose scale went into the weights before it: a number is added to each channel.

    Args:
        bias_c: the numbers (C,).
    """

    bias: Tensor

    def __init__(self, bias_c: Tensor) -> None:
        super().__init__()
        self.register_buffer("bias", bias_c)

    def forward(self, x_bcn: Tensor, mask_bn: Tensor | None = None) -> Tensor:
        """(B, C, N) -> (B, C, N), 0 outside the mask."""
        y_bcn = x_bcn + self.bias.to(x_bcn.dtype)[:, None]
        return y_bcn if mask_bn is None else y_bcn * mask_bn.unsqueeze(1)


def make_norm(norm: str, channels: int, groups: int) -> nn.Module:
    """Make a norm by name.

    Args:
        norm: ``batch``, ``group`` or ``none``.
        channels: C.
        groups: those of the group norm.

    Returns:
        The norm, on (B, C, N).

    Raises:
        ValueError: the name is unknown.
    """
    if norm not in NORMS:
        raise ValueError(f"norm={norm!r} is unknown: choose from {', '.join(map(repr, NORMS))}.")
    if norm == "batch":
        return BatchNorm(channels)
    return GroupNorm(groups, channels) if norm == "group" else NoNorm()
