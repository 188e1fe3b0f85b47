"""How features lie in memory at a place of a network, and the way to (B, C, T, H, W) and back.

Convolutional networks keep channels first, and nothing need be said. Windowed transformers keep channels last
(B, T, H, W, C); token transformers keep a row of tokens (B, class tokens + T·H·W, C), to which the grid (T, H, W)
belongs that they lie on. A `Backbone` names the places where features lie otherwise than channels first, and those
that are no place for a block, with the reason, as a list of `LayoutRule`: nothing is guessed from shapes, because
(B, 56, 56, 96) looks the same whichever way it is meant.

Image networks have the same layouts without T, and N = B·T images as their batch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

CHANNELS_FIRST, CHANNELS_LAST, TOKENS = "channels first", "channels last", "tokens"


@dataclass(frozen=True)
class Layout:
    """``kind``: how features lie. Of tokens, ``prefix``: how many come before those of the grid (class tokens; blocks
    pass them on unchanged); ``grid``: (T, H, W), or (H, W) of an image network; None: the module is called as
    ``module(tokens, grid)`` and answers ``(tokens, grid)``.
    """

    kind: str = CHANNELS_FIRST
    prefix: int = 0
    grid: tuple[int, ...] | None = None

    def map_shape(self, shape: tuple[int, ...] | None, dims: int, grid: tuple[int, ...] | None) -> str | int:
        """The channels of features of ``shape``, or what is wrong with it. ``dims``: 3 (T, H, W) or 2 (H, W)."""
        axes = "T, H, W" if dims == 3 else "H, W"
        batch = "B" if dims == 3 else "B·T"
        if self.kind != TOKENS:
            wanted = f"({batch}, C, {axes})" if self.kind == CHANNELS_FIRST else f"({batch}, {axes}, C)"
            if shape is None or len(shape) != dims + 2:
                return f"what flows there has shape {shape}, not {wanted}"
            return shape[1] if self.kind == CHANNELS_FIRST else shape[-1]
        grid = self.grid or grid
        if shape is None or len(shape) != 3:
            return f"what flows there has shape {shape}, not ({batch}, tokens, C)"
        if grid is None or len(grid) != dims:
            return f"what flows there are tokens without the grid ({axes}) that they lie on"
        if shape[1] != self.prefix + math.prod(grid):
            return f"{shape[1]} tokens flow there, which are not {self.prefix} and a grid of {grid}"
        return shape[2]

    def to_map(self, x: Tensor, grid: tuple[int, ...] | None = None) -> Tensor:
        """The features as (B, C, T, H, W), or (N, C, H, W). ``ValueError`` for tokens that do not fill the grid."""
        if self.kind == CHANNELS_FIRST:
            return x
        if self.kind == CHANNELS_LAST:
            return x.movedim(-1, 1)
        grid = self.grid or grid
        if grid is None or x.shape[1] != self.prefix + math.prod(grid):
            raise ValueError(
                f"{x.shape[1]} tokens are not {self.prefix} and a grid of {grid}: the network was built for clips of "
                "another size; create it with the size (and frames) of the clips it is given"
            )
        return x[:, self.prefix :].transpose(1, 2).unflatten(2, grid)

    def from_map(self, y: Tensor, x: Tensor) -> Tensor:
        """The map ``y`` as features in this layout; ``x``: those it was made from, whose class tokens stay."""
        if self.kind == CHANNELS_FIRST:
            return y
        if self.kind == CHANNELS_LAST:
            return y.movedim(1, -1)
        tokens = y.flatten(2).transpose(1, 2)
        return torch.cat([x[:, : self.prefix], tokens], dim=1) if self.prefix else tokens


FIRST, LAST = Layout(), Layout(CHANNELS_LAST)


@dataclass(frozen=True)
class LayoutRule:
    """Features at places that ``pattern`` (a regular expression) matches in full lie in ``layout``; None: no block can
    stand there, and ``why`` says so. A place is a module path, with ``.end`` for what the module gives.
    """

    pattern: str
    layout: Layout | None
    why: str = ""


def find_rule(rules: Iterable[LayoutRule], place: str) -> LayoutRule:
    """The first rule that matches ``place``; channels first where none does."""
    return next((rule for rule in rules if re.fullmatch(rule.pattern, place)), LayoutRule(".*", FIRST))
