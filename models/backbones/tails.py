"""What some image networks do between averaging over space and their classifier."""

from __future__ import annotations

from torch import Tensor, nn


class PooledTail(nn.Module):
    """Mean over space, then ``layers``, child ``name`` of this module, so that their parameters keep published names.

    (N, C, H, W) -> (N, E), and of an inflated network (B, C, T, H, W) -> (B, E, T). ``keep_space``: the layers want
    (N, C, 1, 1).
    """

    def __init__(self, name: str, layers: nn.Sequential, *, keep_space: bool = False) -> None:
        super().__init__()
        self.name, self.keep_space = name, keep_space
        self.add_module(name, layers)

    def forward(self, x: Tensor) -> Tensor:
        layers = self.get_submodule(self.name)
        if x.ndim == 5:
            return layers(x.mean((3, 4)).transpose(1, 2)).transpose(1, 2)
        return layers(x.mean((2, 3), keepdim=self.keep_space)).flatten(1)
