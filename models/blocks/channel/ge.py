"""Gather-excite (1810.12348, section 3): context of an extent e around each position, as a gate on it.

    y = x · σ(E(up(G(x)))),   G: gather over e positions per axis,   up: nearest neighbours,   E: excite

``extent=0`` gathers over all positions, ``2``, ``4`` or ``8`` over so many. ``gather="mean"`` averages (windows of
2e - 1 at distances of e); ``"conv"`` has log2(e) depthwise convolutions of 3 with stride 2, each with a batch norm.
``mlp`` is a bottleneck with biases (E), else E is the identity.

    paper      GE-θ⁻: gather=mean, mlp=False        GE-θ: gather=conv, mlp=False        GE-θ⁺: gather=conv, mlp=True

GE-θ⁻ has no parameters, so that it cannot start as the identity and learn: it needs ``identity=False``.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.errors import unknown
from specvid.models.blocks.channel.base import Bottleneck, ChannelBlock, mean_over
from specvid.models.blocks.grid import graph_convolution
from specvid.models.blocks.options import inner_width
from specvid.models.blocks.precision import at_least_float32, full_precision
from specvid.models.blocks.registry import register_block

GATHERS = ("mean", "conv")
EXTENTS = (0, 2, 4, 8)

_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


@register_block("ge", kind="channel")
class GatherExcite(ChannelBlock):
    """A gate for each channel and position from what lies around it.

    With a mask, positions outside it are not gathered. With an ``extent`` windows lie as in the padded clip.

    Args:
        channels: C.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        mode: the axes that are gathered over: ``st``, ``s`` or ``t``.
        extent: e; 0 for all positions.
        gather: ``mean`` or ``conv``.
        mlp: excite through a bottleneck.
        reduction: C divided by the width of the bottleneck.
        inner: that width, instead of the reduction.
        identity: start as the identity; ``False`` is the paper's form.

    Raises:
        ValueError: options that are unknown or do not go together.
    """

    def __init__(
        self,
        channels: int,
        *,
        dims: int = 3,
        mode: str = "st",
        extent: int = 0,
        gather: str = "mean",
        mlp: bool = True,
        reduction: int = 16,
        inner: int | None = None,
        identity: bool = True,
    ) -> None:
        super().__init__(channels, dims=dims, mode=mode, identity=identity)
        if extent not in EXTENTS or isinstance(extent, bool):
            raise ValueError(
                f"extent={extent!r} of block 'ge' is not possible: choose from {EXTENTS}; 0 is all positions."
            )
        if gather not in GATHERS:
            raise unknown("gather", gather, GATHERS)
        if gather == "conv" and extent == 0:
            raise ValueError("gather='conv' of block 'ge' needs an extent of 2, 4 or 8: its kernels have a size.")
        if identity and gather == "mean" and not mlp:
            raise ValueError(
                "block 'ge' with gather='mean', mlp=False has no parameters to learn with, and scales features at "
                "once: give identity=False, or mlp=True."
            )
        self.extent = extent
        self.axes = {"st": dims, "s": 2, "t": 1}[mode]
        self.gather = self._convolutions() if gather == "conv" else None
        width = inner_width("ge", channels, reduction, inner) if mlp else 0
        self.excite = Bottleneck(channels, width, bias=True, zero=identity) if mlp else None
        if identity and not mlp and self.gather is not None:
            nn.init.zeros_(next(self.gather[-1].parameters()))  # the weight of the last norm

    def _convolutions(self) -> nn.Sequential:
        """Convolutions of stride 2 until they span the extent."""
        layers: list[nn.Module] = []
        for step in range(self.extent.bit_length() - 1):
            conv = graph_convolution(self.dims, self.mode)
            layers += [nn.ReLU()] if step else []
            layers.append(conv(self.channels, self.channels, 3, stride=2, padding=1, groups=self.channels, bias=False))
            layers.append(_NORMS[self.axes](self.channels))
        return nn.Sequential(*layers)

    def transform(self, x_bcn: Tensor, sizes: tuple[int, ...], mask_bn: Tensor | None) -> Tensor:
        """(B, C, N) -> (B, C, N)."""
        if self.extent == 0:
            gathered = mean_over(x_bcn, mask_bn)
        else:
            gathered = self._windows(
                x_bcn.unflatten(2, sizes), None if mask_bn is None else mask_bn.unflatten(1, sizes)
            )
        logits = gathered.flatten(2) if self.excite is None else self.excite(gathered.flatten(2))
        if logits.shape[2] != 1:
            logits = F.interpolate(logits.unflatten(2, gathered.shape[2:]), size=sizes).flatten(2)
        return x_bcn * self.gate(logits).to(x_bcn.dtype)

    def _windows(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Features (B, C, *sizes) gathered over windows, of valid positions only."""
        if mask is not None:
            x = x.masked_fill(~mask.unsqueeze(1), 0)
        if self.gather is not None:
            gathered: Tensor = self.gather(x)
            return gathered
        with full_precision(x):
            wide = at_least_float32(x)
            mean = self._average(wide)
            if mask is None:
                return mean.to(x.dtype)
            share = self._average(mask.unsqueeze(1).to(wide.dtype))
            return torch.where(share > 0, mean / share.clamp_min(torch.finfo(wide.dtype).tiny), 0).to(x.dtype)

    def _average(self, x: Tensor) -> Tensor:
        """Means of windows of 2e - 1 positions at distances of e, one axis after the other; padding does not count."""
        size = 2 * self.extent - 1
        for axis in range(2, x.dim()):
            lines = x.movedim(axis, -1)
            pooled = F.avg_pool1d(lines.flatten(0, -2), size, self.extent, size // 2, count_include_pad=False)
            x = pooled.unflatten(0, lines.shape[:-1]).movedim(-1, axis)
        return x
