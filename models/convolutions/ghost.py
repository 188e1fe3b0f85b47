"""Ghost module (GhostNet, 1911.11907; the C-Ghost of 2201.03297): some channels, and cheap features of these.

    p = φ(norm(W * x)),   c = φ(norm(D * p)),   y = [p; c]       W a convolution of F / ratio filters, D a depthwise one

``relu=False, norm=False`` leave out φ and the norms, where the network has its own behind the convolution. No trained
kernel can be kept: the second half of a kernel is no depthwise function of the first. The first F / ratio channels
(of each group) start as the trained ones (with norms in evaluation mode, without φ), the cheap ones as copies of them.
"""

import torch
from torch import Tensor, nn

from specvid.models.convolutions.base import Convolution
from specvid.models.convolutions.options import check_count, check_flag
from specvid.models.convolutions.registry import register_convolution
from specvid.models.convolutions.spec import CONVOLUTIONS_OF_TORCH, ConvolutionSpec


@register_convolution("ghost", "c_ghost")
class GhostConvolution(Convolution):
    """Primary features, and cheap ones by depthwise convolutions.

    Args:
        spec: Shape and geometry.
        ratio: All channels divided by the primary ones.
        cheap: Window of the depthwise convolutions along each axis, odd.
        norm: With batch norms.
        relu: With a ReLU behind each.

    Raises:
        ValueError: Options that are not possible, or groups that the primary filters cannot have.
    """

    start = "part"

    def __init__(
        self, spec: ConvolutionSpec, *, ratio: int = 2, cheap: int = 3, norm: bool = True, relu: bool = False
    ) -> None:
        super().__init__(spec)
        check_count("ghost", "ratio", ratio, least=2)
        check_count("ghost", "cheap", cheap)
        check_flag("ghost", "norm", norm)
        check_flag("ghost", "relu", relu)
        if cheap % 2 == 0:
            raise ValueError(f"cheap={cheap} of convolution 'ghost' is not possible: it is an odd integer.")
        filters = spec.out_channels // spec.groups
        if filters < 2:
            raise ValueError("convolution 'ghost' needs at least two filters in a group, and there is one.")
        primary = -(-filters // ratio) * spec.groups
        self.kernel = nn.Parameter(torch.zeros(primary, *spec.weight_shape[1:]))
        self.bias = nn.Parameter(torch.zeros(primary)) if spec.bias else None
        depthwise = CONVOLUTIONS_OF_TORCH[spec.dims - 1]
        self.cheap = depthwise(primary, primary * (ratio - 1), cheap, padding=cheap // 2, groups=primary, bias=False)
        self.norm = nn.BatchNorm1d(primary) if norm else None
        self.cheap_norm = nn.BatchNorm1d(primary * (ratio - 1)) if norm else None
        self.relu = relu

    @torch.no_grad()
    def load_convolution(self, conv: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> None:
        """The primary filters are the first ones, and the cheap features start as copies of theirs."""
        self.kernel.copy_(self._first(conv.weight))
        if self.bias is not None and conv.bias is not None:
            self.bias.copy_(self._first(conv.bias))
        self.cheap.weight.zero_()
        self.cheap.weight.flatten(2)[:, :, self.cheap.weight[0, 0].numel() // 2] = 1.0  # the middle of the window

    def _first(self, numbers: Tensor) -> Tensor:
        """Of the filters of each group the primary ones."""
        return numbers.unflatten(0, (self.spec.groups, -1))[:, : len(self.kernel) // self.spec.groups].flatten(0, 1)

    def compute(self, x: Tensor) -> Tensor:
        """(B, C, *sizes) -> (B, O, *sizes of the output)."""
        p = self._finish(self.spec.convolve(x, self.kernel, self.bias), self.norm)
        both = (p, self._finish(self.cheap(p), self.cheap_norm))
        y = torch.cat([part.unflatten(1, (self.spec.groups, -1)) for part in both], dim=2)
        return y[:, :, : self.spec.out_channels // self.spec.groups].flatten(1, 2)

    def _finish(self, y: Tensor, norm: nn.Module | None) -> Tensor:
        if norm is not None:
            y = norm(y.flatten(2)).reshape(y.shape)
        return y.relu() if self.relu else y
