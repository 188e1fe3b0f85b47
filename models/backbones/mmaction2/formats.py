"""Formats of the features in mmaction2's transformers that are not channels first.

TimeSformer's tokens run over time fastest, (H, W, T), after one class token; with ``attention_type="space_only"`` each
frame has a row of tokens of its own. Video Swin has channels last within its stages.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from specvid.models.formats import LAST, TOKENS, FeatureFormat, FormatRule, TimeFastestTokens


@dataclass(frozen=True)
class FrameTokens(FeatureFormat):
    """(B·T, class tokens + H·W, C); ``grid`` is (T, H, W)."""

    def map_shape(self, shape: tuple[int, ...] | None, dims: int, grid: tuple[int, ...] | None) -> str | int:
        frames, height, width = self.grid or (1, 0, 0)
        if shape is None or len(shape) != 3 or shape[0] % frames or shape[1] != self.prefix + height * width:
            return f"what flows there has shape {shape}, not (B·{frames}, {self.prefix} + {height}·{width}, C)"
        return shape[2]

    def to_map(self, x: Tensor, grid: tuple[int, ...] | None = None) -> Tensor:
        frames, height, width = self.grid or (1, 0, 0)
        patches_btpc = x[:, self.prefix :].unflatten(0, (-1, frames))
        return patches_btpc.movedim(-1, 1).unflatten(3, (height, width))

    def from_map(self, y: Tensor, x: Tensor) -> Tensor:
        tokens = y.movedim(1, -1).flatten(2, 3).flatten(0, 1)
        return torch.cat([x[:, : self.prefix], tokens], dim=1) if self.prefix else tokens


SWIN = (
    FormatRule(r"layers\.\d+\.blocks\.\d+\.attn(\..*)?", None, "the features are cut into windows there"),
    FormatRule(r"layers\.\d+\.(blocks|downsample)(\..*)?", LAST),
    FormatRule(r"layers\.\d+\.end", LAST),
    FormatRule(r"norm\d(\..*)?", LAST),
)


def timesformer(grid: tuple[int, int, int], layers: int, *, space_only: bool) -> tuple[FormatRule, ...]:
    """The rules of a TimeSformer.

    Args:
        grid: Patches of a clip, (T, H, W).
        layers: Number of its transformer layers.
        space_only: Whether each frame has a row of tokens of its own.

    Returns:
        Where its features are tokens, and where no block can stand.
    """
    kind = FrameTokens if space_only else TimeFastestTokens
    after_last = rf"transformer_layers\.layers\.{layers - 1}\.end|norm(\..*)?|transformer_layers\.end"
    return (
        FormatRule(after_last, None, "only the class token goes on from there, and blocks leave it as it is"),
        FormatRule(r"transformer_layers\.layers\.\d+(\.end)?", kind(TOKENS, prefix=1, grid=grid)),
        FormatRule(
            ".*", None, "features are maps only between the layers: choose 'transformer_layers.layers.N', N the layer"
        ),
    )
