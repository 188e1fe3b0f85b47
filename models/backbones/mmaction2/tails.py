"""What two of mmaction2's networks do between their last feature map and their classifier, under published names."""

from __future__ import annotations

from torch import Tensor, nn


class X3DTail(nn.Module):
    """Mean over all positions, a linear layer, ReLU: (B, C, T, H, W) -> (B, 2048). ``cls_head.fc1`` of X3DHead.

    The layer follows the mean over time, so that a mask of frames cannot be heeded after it.

    Args:
        channels: C.
        hidden: Length of the result.
        bias: Whether the layer has one.
    """

    def __init__(self, channels: int, *, hidden: int = 2048, bias: bool = False) -> None:
        super().__init__()
        fc1 = nn.Linear(channels, hidden, bias=bias)
        nn.init.normal_(fc1.weight, std=0.01)
        self.cls_head = nn.ModuleDict({"fc1": fc1})

    def forward(self, x_bcthw: Tensor) -> Tensor:
        return self.cls_head["fc1"](x_bcthw.mean((2, 3, 4))).relu()


class C3DTail(nn.Module):
    """All positions in a row, two hidden layers: (B, 512, T, H, W) -> (B, 4096). ``fc6`` and ``fc7`` of C3D.

    Args:
        network: mmaction2's C3D, whose layers it takes.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.fc6, self.fc7 = network.get_submodule("fc6"), network.get_submodule("fc7")
        self.dropout = network.get_submodule("dropout")

    def forward(self, x_bcthw: Tensor) -> Tensor:
        x = x_bcthw.flatten(1)
        if x.shape[1] != self.fc6.in_features:
            raise ValueError(
                f"clips that leave features of shape {tuple(x_bcthw.shape)} do not fit C3D: its fc6 wants "
                f"{self.fc6.in_features} numbers (8192: clips of 16 frames of 112 x 112); for these clips create it "
                f"with out_dim={x.shape[1]}"
            )
        return self.fc7(self.dropout(self.fc6(x).relu())).relu()
