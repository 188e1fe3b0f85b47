"""Selective depth attention (SDA-Net, 2209.10327): a stage gives a mixture of what all its blocks give.

    y = relu(sum_i w_i ⊙ Z_i),   w = softmax over i of (F_i v + f_i),   v = relu(norm(E mean of sum_i Z_i))

Z_i (C, N) is what block i gives before its last ReLU; the softmax is one for each channel. To start as the stage it
wraps, y = relu(Z_n + gate · (sum_i w_i ⊙ Z_i - Z_n)) with gate = 0; ``identity=False`` is the paper's form.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SelectiveDepth(nn.Module):
    """The mixture of the feature maps of a stage's blocks.

    Args:
        channels: C.
        blocks: How many maps.
        reduction: C divided by the width of v.
        least: The least width of v.
        inner: That width, instead of both.
        identity: Start with the map of the last block.

    Raises:
        ValueError: An option is no integer from 1 up.
    """

    def __init__(
        self,
        channels: int,
        *,
        blocks: int,
        reduction: int = 16,
        least: int = 64,
        inner: int | None = None,
        identity: bool = True,
    ) -> None:
        super().__init__()
        for name, value in (("reduction", reduction), ("least", least), ("inner", 1 if inner is None else inner)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r} of 'sda' is not possible: it is an integer from 1 up.")
        inner = max(channels // reduction, least) if inner is None else inner
        self.reduce = nn.Linear(channels, inner, bias=False)
        self.norm = nn.BatchNorm1d(inner)
        self.expand = nn.ModuleList(nn.Linear(inner, channels) for _ in range(blocks))
        self.gate = nn.Parameter(torch.zeros(1)) if identity else None

    def forward(self, z_bnc: Tensor) -> Tensor:
        """Mix the maps; a single sample in training is normalised by the running statistics.

        Args:
            z_bnc: (B, n, C, *sizes), before the last ReLU of each block.

        Returns:
            (B, C, *sizes).
        """
        norm, positions = self.norm, z_bnc.sum(1).flatten(2)
        u_bd = self.reduce(positions.mean(-1))
        if self.training and len(u_bd) == 1:
            u_bd = F.batch_norm(u_bd, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        else:
            u_bd = norm(u_bd)
        v_bd = u_bd.relu()
        w_bnc = torch.stack([expand(v_bd) for expand in self.expand], dim=1).softmax(1)
        mixed = (w_bnc.reshape(*w_bnc.shape, *(1 for _ in z_bnc.shape[3:])) * z_bnc).sum(1)
        if self.gate is not None:
            mixed = z_bnc[:, -1] + self.gate * (mixed - z_bnc[:, -1])
        return mixed.relu().to(z_bnc.dtype)


STAGE_WRAPPERS = {"sda": SelectiveDepth}
"""What can wrap a stage, by name."""
