"""Sample-specific filters (1812.01894): each sample combines the filters of a repository into its own.

    y = W(x) * x,   W(x)_o = sum_m (c_om + E_om(x)) B_m,   E(x) = V relu(U m),   m = mean of x

B are M filters, c coefficients that all samples share, E those of a sample. The paper makes them of the features of an
autoencoder of the images; here they are made of what comes into the layer. With M = O filters at least, B are the
trained filters and c the identity, with V = 0: exactly the convolution; with fewer, the nearest of rank M.
"""

import torch
from torch import Tensor, nn

from specvid.models.convolutions.base import Convolution
from specvid.models.convolutions.options import check_count
from specvid.models.convolutions.registry import register_convolution
from specvid.models.convolutions.spec import ConvolutionSpec, mean_of


@register_convolution("sample_specific")
class SampleSpecificConvolution(Convolution):
    """Filters of a repository, combined for each sample.

    Args:
        spec: Shape and geometry.
        filters: M, those of the repository; as many as there are channels out if not given.
        reduction: C divided by the hidden width of E, which is at least 4.

    Raises:
        ValueError: Options that are not possible.
    """

    start = "exact"

    def __init__(self, spec: ConvolutionSpec, *, filters: int | None = None, reduction: int = 16) -> None:
        super().__init__(spec)
        filters = spec.out_channels if filters is None else filters
        check_count("sample_specific", "filters", filters)
        check_count("sample_specific", "reduction", reduction)
        hidden = max(4, spec.in_channels // reduction)
        self.repository = nn.Parameter(torch.empty(filters, *spec.weight_shape[1:]))
        self.shared = nn.Parameter(torch.zeros(spec.out_channels, filters))
        self.bias = nn.Parameter(torch.zeros(spec.out_channels)) if spec.bias else None
        self.reduce = nn.Linear(spec.in_channels, hidden)
        self.own = nn.Linear(hidden, spec.out_channels * filters, bias=False)
        nn.init.kaiming_uniform_(self.repository, a=5**0.5)
        nn.init.zeros_(self.own.weight)

    @torch.no_grad()
    def load_convolution(self, conv: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> None:
        """The repository begins with the trained filters, or with the directions in which they differ most."""
        count, out = len(self.repository), self.spec.out_channels
        if count >= out:
            self.repository[:out] = conv.weight
            self.shared[:, :out] = torch.eye(out, dtype=self.shared.dtype, device=self.shared.device)
        else:
            u, s, v = torch.linalg.svd(conv.weight.double().flatten(1), full_matrices=False)
            rank = min(count, len(s))
            self.repository[:rank] = v[:rank].reshape(rank, *self.spec.weight_shape[1:]).to(self.repository.dtype)
            self.shared[:, :rank] = (u * s)[:, :rank].to(self.shared.dtype)
        if self.bias is not None and conv.bias is not None:
            self.bias.copy_(conv.bias)

    def compute(self, x: Tensor) -> Tensor:
        """(B, C, *sizes) -> (B, O, *sizes of the output)."""
        own = self.own(self.reduce(mean_of(x)).relu())
        coefficients = self.shared + own.unflatten(1, self.shared.shape)
        weight = (coefficients @ self.repository.flatten(1)).reshape(-1, 1, *self.spec.weight_shape)
        y = self.spec.convolve_each(x, weight).squeeze(1)
        return y if self.bias is None else y + self.bias.reshape(-1, *(1 for _ in self.spec.kernel_size))
