"""A transformer encoder as a backbone: embeddings, layers, norm; and what classifiers make of its tokens."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class TokenEncoder(nn.Module):
    """Clips or images -> tokens (B, prefix + positions, C), layer by layer, so that blocks can stand between them.

    Args:
        embeddings: Makes tokens of (B, T, 3, H, W), or of images (N, 3, H, W).
        layers: Each maps tokens to tokens, or to a tuple with the tokens first.
        norm: Behind the last layer; None for none.
        positions: Of images: makes of them the rotations that each layer takes as ``position_embeddings``.
    """

    def __init__(
        self, embeddings: nn.Module, layers: Iterable[nn.Module], norm: nn.Module | None, positions: nn.Module | None
    ) -> None:
        super().__init__()
        self.embeddings, self.layers = embeddings, nn.ModuleList(layers)
        self.norm, self.positions = nn.Identity() if norm is None else norm, positions

    def forward(self, x: Tensor) -> Tensor:
        """Run the encoder.

        Args:
            x: (B, 3, T, H, W) of a video network, (N, 3, H, W) of an image network.

        Returns:
            The tokens.
        """
        tokens = self.embeddings(x.transpose(1, 2) if x.ndim == 5 else x)
        if self.positions is None:
            for layer in self.layers:
                tokens = layer(tokens)
        else:
            rotations = self.positions(x)
            for layer in self.layers:
                tokens = layer(tokens, position_embeddings=rotations)
        return self.norm(tokens)


class Unmasked(nn.Module):
    """VideoMAE's embeddings, which want to be told that no patch is masked.

    Args:
        embeddings: The embeddings.
    """

    def __init__(self, embeddings: nn.Module) -> None:
        super().__init__()
        self.embeddings = embeddings

    def forward(self, x: Tensor) -> Tensor:
        return self.embeddings(x, None)


class FirstOutput(nn.Module):
    """A layer that returns a tuple, of which the first thing is the tokens.

    Args:
        layer: The layer.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


class NormOfMean(nn.Module):
    """Tokens (B, N, C) -> a norm of their mean (B, C).

    Args:
        norm: The norm.
    """

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.mean(1))


class ClassAndMean(nn.Module):
    """Tokens (N, prefix + positions, C) -> the class token and the mean over the positions, (N, 2 C).

    Args:
        prefix: Tokens before those of the positions, the class token first.
    """

    def __init__(self, prefix: int) -> None:
        super().__init__()
        self.prefix = prefix

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[:, 0], x[:, self.prefix :].mean(1)], dim=1)
