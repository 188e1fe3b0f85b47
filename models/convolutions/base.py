"""What stands in the place of a convolution: the base class of all of them, and of those with one kernel for all."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from specvid.models.convolutions.spec import ConvolutionSpec


class Convolution(nn.Module, ABC):
    """A layer with the input and output of a convolution, whose place it can take in a trained network.

    Args:
        spec: Shape and geometry of the convolution.

    Attributes:
        start: What it computes when it has just taken a convolution's place: ``exact`` (the same), ``nearest`` (the
            nearest in least squares that it can be; the same where that is possible), ``part`` (some channels alike).
    """

    start: ClassVar[str] = "exact"
    config: Any = None
    """What it was created with, a `specvid.models.convolutions.registry.ConvolutionConfig`."""
    kind: type[nn.Conv1d | nn.Conv2d | nn.Conv3d] | None = None
    """The class of the convolution whose place it took."""

    def __init__(self, spec: ConvolutionSpec) -> None:
        super().__init__()
        self.spec = spec

    @abstractmethod
    def load_convolution(self, conv: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> None:
        """Start from what a convolution of this spec computes.

        Args:
            conv: The convolution; its numbers are copied, or it becomes a part of this layer.
        """

    @abstractmethod
    def compute(self, x: Tensor) -> Tensor:
        """What the layer is.

        Args:
            x: (B, C, *sizes).

        Returns:
            (B, O, *sizes of the output).
        """

    def forward(self, x: Tensor) -> Tensor:
        """Take a convolution's place.

        Args:
            x: (B, C, *sizes), or (C, *sizes) without a batch, as convolutions take it.

        Returns:
            (B, O, *sizes of the output), or (O, *sizes of the output).

        Raises:
            ValueError: Features of other dimensions or channels.
        """
        dims, channels = self.spec.dims, self.spec.in_channels
        single = x.dim() == dims + 1
        if x.dim() - dims not in (1, 2) or x.shape[0 if single else 1] != channels:
            name = "" if self.config is None else f" {self.config.name!r}"
            raise ValueError(
                f"input of shape {tuple(x.shape)} does not fit convolution{name}, which was made for dims={dims} and "
                f"{channels} channels: give (B, {channels}, {('T', 'H, W', 'T, H, W')[dims - 1]})."
            )
        return self.compute(x[None])[0] if single else self.compute(x)

    def penalty(self) -> Tensor | None:
        """What a training adds to its loss, a scalar; None for nothing."""
        return None

    def set_progress(self, progress: float) -> None:
        """Follow a training, for what changes in its course.

        Args:
            progress: Share of the training that is done, in [0, 1].
        """

    # What networks ask of their convolutions.
    @property
    def in_channels(self) -> int:
        """C of the input."""
        return self.spec.in_channels

    @property
    def out_channels(self) -> int:
        """C of the output."""
        return self.spec.out_channels

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """Positions of the window along each axis."""
        return self.spec.kernel_size

    @property
    def stride(self) -> tuple[int, ...]:
        """Along each axis."""
        return self.spec.stride

    @property
    def padding(self) -> tuple[int, ...]:
        """On both sides of each axis."""
        return self.spec.padding

    def extra_repr(self) -> str:
        """Shape of the layer, for ``repr``."""
        spec = self.spec
        return f"{spec.in_channels}, {spec.out_channels}, kernel_size={spec.kernel_size}, stride={spec.stride}"


class StaticConvolution(Convolution):
    """A convolution whose kernel is made of fewer or other numbers, and is the same for all features."""

    start: ClassVar[str] = "nearest"

    def __init__(self, spec: ConvolutionSpec) -> None:
        super().__init__(spec)
        self.bias = nn.Parameter(torch.zeros(spec.out_channels)) if spec.bias else None

    @abstractmethod
    def kernel(self) -> Tensor:
        """The kernel, (O, I / groups, *kernel_size)."""

    @abstractmethod
    def load_kernel(self, weight: Tensor) -> None:
        """Start from the nearest kernel.

        Args:
            weight: (O, I / groups, *kernel_size), float64.
        """

    @torch.no_grad()
    def load_convolution(self, conv: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> None:
        """Start from the nearest kernel, and the same bias."""
        if self.bias is not None and conv.bias is not None:
            self.bias.copy_(conv.bias)
        self.load_kernel(conv.weight.double())

    def compute(self, x: Tensor) -> Tensor:
        """Convolve.

        Args:
            x: (B, C, *sizes).

        Returns:
            (B, O, *sizes of the output).
        """
        return self.spec.convolve(x, self.kernel(), self.bias)

    @torch.no_grad()
    def to_convolution(self) -> nn.Conv1d | nn.Conv2d | nn.Conv3d:
        """A plain convolution that computes the same.

        Returns:
            The convolution, of the class of the one whose place was taken, in the same mode.
        """
        kernel = self.kernel()
        conv = self.spec.build(self.kind).to(kernel.device, kernel.dtype).train(self.training)
        conv.weight.copy_(kernel)
        if conv.bias is not None and self.bias is not None:
            conv.bias.copy_(self.bias)
        return conv
