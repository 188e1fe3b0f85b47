"""Dynamic convolution (1912.03458): each sample mixes K kernels into its own.

    y = (sum_k π_k W_k) * x + sum_k π_k b_k,   π = softmax((F_2 relu(F_1 m) + f) / T),   m = mean of x

T is high at the start, so that all kernels learn, and falls to 1 over the first part of a training. All W_k are the
trained kernel at the start: exactly the convolution, whatever π is.
"""

import torch
from torch import Tensor, nn

from specvid.models.convolutions.base import Convolution
from specvid.models.convolutions.options import check_count, check_positive
from specvid.models.convolutions.registry import register_convolution
from specvid.models.convolutions.spec import ConvolutionSpec, mean_of


@register_convolution("dynamic_conv")
class DynamicConvolution(Convolution):
    """Several kernels, mixed by attention for each sample.

    Args:
        spec: Shape and geometry.
        kernels: K.
        reduction: C divided by the hidden width of the attention, which is one more.
        inner: That width, instead of the reduction.
        temperature: T at the start.
        final_temperature: T at the end.
        anneal: Share of a training in which T falls, linearly.

    Raises:
        ValueError: Options that are not possible.
    """

    start = "exact"

    def __init__(
        self,
        spec: ConvolutionSpec,
        *,
        kernels: int = 4,
        reduction: int = 4,
        inner: int | None = None,
        temperature: float = 30.0,
        final_temperature: float = 1.0,
        anneal: float = 0.1,
    ) -> None:
        super().__init__(spec)
        check_count("dynamic_conv", "kernels", kernels)
        check_count("dynamic_conv", "reduction", reduction)
        for name, value in (("temperature", temperature), ("final_temperature", final_temperature), ("anneal", anneal)):
            check_positive("dynamic_conv", name, value)
        hidden = spec.in_channels // reduction + 1 if inner is None else inner
        check_count("dynamic_conv", "inner", hidden)
        self.temperatures, self.anneal = (float(temperature), float(final_temperature)), anneal
        self.kernels = nn.Parameter(torch.zeros(kernels, *spec.weight_shape))
        self.biases = nn.Parameter(torch.zeros(kernels, spec.out_channels)) if spec.bias else None
        self.reduce = nn.Linear(spec.in_channels, hidden, bias=False)
        self.attend = nn.Linear(hidden, kernels)
        self.temperature: Tensor  # of the softmax
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    @torch.no_grad()
    def load_convolution(self, conv: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> None:
        """Every kernel is the convolution's."""
        self.kernels.copy_(conv.weight.expand_as(self.kernels))
        if self.biases is not None and conv.bias is not None:
            self.biases.copy_(conv.bias.expand_as(self.biases))

    def set_progress(self, progress: float) -> None:
        """T falls linearly from the first to the last, over the share ``anneal`` of a training.

        It does not rise again: weights that were trained before go on with the T that they came with.
        """
        first, last = self.temperatures
        done = min(1.0, max(0.0, progress) / self.anneal)
        now = first + (last - first) * done
        self.temperature.fill_(min(now, self.temperature.item()) if last < first else now)

    def attention(self, x: Tensor) -> Tensor:
        """π of each sample.

        Args:
            x: (B, C, *sizes).

        Returns:
            (B, K), rows that sum to 1.
        """
        scores = self.attend(self.reduce(mean_of(x)).relu())
        wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
        return (wide / self.temperature).softmax(-1).to(scores.dtype)

    def compute(self, x: Tensor) -> Tensor:
        """(B, C, *sizes) -> (B, O, *sizes of the output)."""
        share_bk = self.attention(x)
        weight = (share_bk @ self.kernels.flatten(1)).reshape(-1, 1, *self.spec.weight_shape)
        bias = None if self.biases is None else (share_bk @ self.biases).unsqueeze(1)
        return self.spec.convolve_each(x, weight, bias).squeeze(1)
