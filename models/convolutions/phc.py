"""Parameterised hypercomplex convolution (PHC, 2110.04176): a kernel of Kronecker products.

    W = sum_m A_m ⊗ F_m             A_m (n x n), F_m (O/n x I/n x window), m = 1 ... n: 1/n of the numbers of a kernel

The rules of multiplication (A) are learned with the filters (F); n = 4 can be the quaternions. The start is the nearest
sum of n products to the trained kernel, by a singular value decomposition: the same kernel for n = 1.
"""

import torch
from torch import Tensor, nn

from specvid.models.convolutions.base import StaticConvolution
from specvid.models.convolutions.options import check_count
from specvid.models.convolutions.registry import register_convolution
from specvid.models.convolutions.spec import ConvolutionSpec


@register_convolution("phc")
class HypercomplexConvolution(StaticConvolution):
    """A sum of Kronecker products as kernel.

    Args:
        spec: Shape and geometry.
        n: How many, and the size of A; it divides the channels of the input (of a group) and of the output.

    Raises:
        ValueError: n does not divide them.
    """

    def __init__(self, spec: ConvolutionSpec, *, n: int = 4) -> None:
        super().__init__(spec)
        check_count("phc", "n", n)
        out, inward = spec.weight_shape[:2]
        if out % n or inward % n:
            raise ValueError(f"n={n} of convolution 'phc' must divide the channels, {inward} of a group in, {out} out.")
        self.algebra = nn.Parameter(torch.zeros(n, n, n))
        self.filters = nn.Parameter(torch.zeros(n, out // n, inward // n, *spec.kernel_size))

    def kernel(self) -> Tensor:
        """sum_m A_m ⊗ F_m."""
        filters = self.filters.flatten(3)
        return torch.einsum("mac,mbdk->abcdk", self.algebra, filters).reshape(self.spec.weight_shape)

    def load_kernel(self, weight: Tensor) -> None:
        """The first n terms of the singular value decomposition of W with rows (a, c) and columns (b, d, window)."""
        n, shape = len(self.algebra), self.filters.shape[1:]
        blocks = weight.flatten(2).reshape(n, shape[0], n, shape[1], -1)
        rows = blocks.permute(0, 2, 1, 3, 4).reshape(n * n, -1)
        u, s, v = torch.linalg.svd(rows, full_matrices=False)
        terms = min(n, len(s))
        scale = s[:terms].sqrt()
        self.algebra[:terms] = (u[:, :terms] * scale).mT.reshape(terms, n, n).to(self.algebra.dtype)
        self.filters[:terms] = (v[:terms] * scale[:, None]).reshape(terms, *shape).to(self.filters.dtype)
