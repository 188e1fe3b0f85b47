"""Dynamic region-aware convolution (DRConv, 2003.12243): each position takes the kernel of the region it is in.

    y(p) = (K_r * x)(p) + b,   r = argmax of (G * x)(p)      K_r = W + V_r σ(U m) + v_r,   m = means of x over k bins

K_r are as many kernels as there are regions, made of each sample; G is a convolution that draws the regions. Forward
the choice is hard, backward G learns as if it were a softmax. W is the convolution's own kernel (the paper has none),
V and v are 0 at the start: exactly the convolution.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from specvid.models.convolutions.base import Convolution
from specvid.models.convolutions.options import check_count
from specvid.models.convolutions.registry import register_convolution
from specvid.models.convolutions.spec import ConvolutionSpec, pool_to


@register_convolution("drconv")
class RegionConvolution(Convolution):
    """Kernels of regions, made of each sample.

    Args:
        spec: Shape and geometry.
        regions: How many.

    Raises:
        ValueError: ``regions`` is no number of regions.
    """

    start = "exact"

    def __init__(self, spec: ConvolutionSpec, *, regions: int = 4) -> None:
        super().__init__(spec)
        check_count("drconv", "regions", regions)
        self.regions = regions
        self.kernel = nn.Parameter(torch.zeros(spec.weight_shape))
        self.bias = nn.Parameter(torch.zeros(spec.out_channels)) if spec.bias else None
        out, inward = spec.weight_shape[:2]
        self.squeeze = nn.Conv1d(spec.in_channels, regions**2, 1)
        self.make = nn.Conv1d(regions**2, regions * out * inward, 1, groups=regions)
        self.guide = nn.Parameter(torch.empty(regions, spec.in_channels, *spec.kernel_size))
        self.guide_bias = nn.Parameter(torch.zeros(regions))
        nn.init.kaiming_uniform_(self.guide, a=5**0.5)
        nn.init.zeros_(self.make.weight)
        nn.init.zeros_(self.make.bias)  # type: ignore[arg-type]

    @torch.no_grad()
    def load_convolution(self, conv: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> None:
        """All regions have the convolution's kernel."""
        self.kernel.copy_(conv.weight)
        if self.bias is not None and conv.bias is not None:
            self.bias.copy_(conv.bias)

    def compute(self, x: Tensor) -> Tensor:
        """(B, C, *sizes) -> (B, O, *sizes of the output)."""
        spec = self.spec
        seen = pool_to(x, spec.kernel_size).flatten(2)
        made = self.make(self.squeeze(seen).sigmoid())  # (B, regions·O·I, positions of the window)
        kernels = made.reshape(-1, self.regions, *spec.weight_shape) + self.kernel
        y = spec.convolve_each(x, kernels)  # (B, regions, O, *sizes)
        guide = spec.convolve(x, self.guide, self.guide_bias, groups=1)
        soft = guide.softmax(1)
        hard = F.one_hot(guide.argmax(1), self.regions).movedim(-1, 1).to(soft.dtype)
        choice = hard + (soft - soft.detach())  # the hard one, with the gradient of the soft one
        y = (choice.unsqueeze(2) * y).sum(1)
        return y if self.bias is None else y + self.bias.reshape(-1, *(1 for _ in spec.kernel_size))
