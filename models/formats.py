"""The format of features at a place of a network: how they lie in memory, the way to (B, C, T, H, W) and back.

Convolutional networks have channels first, which is the default. Windowed transformers have channels last
(B, T, H, W, C); token transformers have a row of tokens (B, class tokens + T·H·W, C) that lie on a grid (T, H, W). A
`Backbone` lists the places whose features are not channels first, and those where no block can stand with the reason,
as `FormatRule` objects. Nothing is guessed from shapes: (B, 56, 56, 96) could be either format.

Image networks have the same formats without T, and N = B·T images as their batch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CHANNELS_FIRST, CHANNELS_LAST, TOKENS = "channels first", "channels last", "tokens"


@dataclass(frozen=True)
class FeatureFormat:
    """How features lie in memory.

    Attributes:
        kind: ``channels first``, ``channels last`` or ``tokens``.
        prefix: Of tokens, how many come before those of the grid (class tokens); blocks pass them on unchanged.
        grid: Of tokens, the (T, H, W) they lie on, or (H, W) in an image network. None where the module is called as
            ``module(tokens, grid)`` and returns ``(tokens, grid)``.
    """

    kind: str = CHANNELS_FIRST
    prefix: int = 0
    grid: tuple[int, ...] | None = None

    def map_shape(self, shape: tuple[int, ...] | None, dims: int, grid: tuple[int, ...] | None) -> str | int:
        """The number of channels of features of ``shape``, or a text with the reason why they do not have this format.

        Args:
            shape: Of the features; None where a module gives no tensor.
            dims: 3 for (T, H, W), 2 for (H, W).
            grid: The grid that came with tokens, where the format has none of its own.

        Returns:
            The channels, or the problem.
        """
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
        """The features as a map.

        Args:
            x: Features in this format.
            grid: The grid that came with tokens, where the format has none of its own.

        Returns:
            (B, C, T, H, W), or (N, C, H, W) in an image network.

        Raises:
            ValueError: The tokens do not fill the grid.
        """
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
        """The inverse of `to_map`.

        Args:
            y: A map (B, C, T, H, W), or (N, C, H, W).
            x: The features that the map was made from, whose class tokens stay.

        Returns:
            The map in this format.
        """
        if self.kind == CHANNELS_FIRST:
            return y
        if self.kind == CHANNELS_LAST:
            return y.movedim(1, -1)
        import torch  # not above: the list of backbones needs this module and no torch

        tokens = y.flatten(2).transpose(1, 2)
        return torch.cat([x[:, : self.prefix], tokens], dim=1) if self.prefix else tokens


@dataclass(frozen=True)
class TimeFastestTokens(FeatureFormat):
    """Tokens (B, class tokens + H·W·T, C) that run over time fastest, as TimeSformer's; ``grid`` is (T, H, W)."""

    def to_map(self, x: Tensor, grid: tuple[int, ...] | None = None) -> Tensor:
        """The features as a map.

        Args:
            x: Tokens.
            grid: (T, H, W) that came with them, where the format has none of its own.

        Returns:
            (B, C, T, H, W).
        """
        frames, height, width = self.grid or grid or (0, 0, 0)
        y = super().to_map(x, grid)  # checks the number of tokens; their order is put right here
        return y.flatten(2).unflatten(2, (height, width, frames)).movedim(-1, 2)

    def from_map(self, y: Tensor, x: Tensor) -> Tensor:
        """The inverse of `to_map`.

        Args:
            y: A map (B, C, T, H, W).
            x: The tokens that the map was made from, whose class tokens stay.

        Returns:
            The map as tokens.
        """
        return super().from_map(y.movedim(2, -1), x)


FIRST, LAST = FeatureFormat(), FeatureFormat(CHANNELS_LAST)


@dataclass(frozen=True)
class FormatRule:
    """The format of the features at some places of a network.

    Attributes:
        pattern: Regular expression that matches the places in full. A place is a module path, with ``.end`` for what
            the module gives.
        format: How features lie there; None where no block can stand.
        why: The reason for None.
    """

    pattern: str
    format: FeatureFormat | None
    why: str = ""


def find_rule(rules: Iterable[FormatRule], place: str) -> FormatRule:
    """The rule for a place in a network.

    Args:
        rules: In order; the first one that matches counts.
        place: A module path, with ``.end`` for behind it.

    Returns:
        The rule; that of channels first where none matches.
    """
    return next((rule for rule in rules if re.fullmatch(rule.pattern, place)), FormatRule(".*", FIRST))
