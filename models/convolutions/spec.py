"""What a convolution is besides its numbers: channels, window, geometry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CONVOLUTIONS_OF_TORCH = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_FORM = {"products": False}  # a dictionary, for `torch.compile` of PyTorch 2.6 reads no ContextVar
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_CONVOLVE = (F.conv1d, F.conv2d, F.conv3d)
_LEAST = {"in_channels": 1, "out_channels": 1, "kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}


@dataclass(frozen=True)
class ConvolutionSpec:
    """The shape and geometry of a convolution in one to three dimensions.

    Attributes:
        in_channels: C of its input.
        out_channels: C of its output.
        kernel_size: Positions of the window along each axis.
        stride: Along each axis.
        padding: On both sides of each axis, in positions.
        dilation: Along each axis.
        groups: Of channels that see only each other.
        bias: Whether it has one.
        replicates_time: Whether the first axis is padded with copies of the first and last frame, not with zeros.
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    bias: bool = False
    replicates_time: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        axes = {len(getattr(self, name)) for name in ("kernel_size", "stride", "padding", "dilation")}
        if len(axes) != 1 or self.dims not in (1, 2, 3):
            raise ValueError(
                f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding} and dilation="
                f"{self.dilation} of a convolution must have a number for each of the same 1, 2 or 3 axes."
            )
        for name, least in _LEAST.items():
            given = getattr(self, name)
            values = given if isinstance(given, tuple) else (given,)
            if any(isinstance(value, bool) or not isinstance(value, int) or value < least for value in values):
                raise ValueError(f"{name}={given!r} of a convolution is not possible: integers from {least}.")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"groups={self.groups} of a convolution must divide its channels, {self.in_channels} in and "
                f"{self.out_channels} out."
            )

    @property
    def dims(self) -> int:
        """1, 2 or 3."""
        return len(self.kernel_size)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(O, I / groups, *kernel_size)."""
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    @property
    def positions(self) -> int:
        """Of the window."""
        return prod(self.kernel_size)

    @classmethod
    def of(cls, conv: nn.Module) -> ConvolutionSpec:
        """The spec of a convolution.

        Args:
            conv: ``nn.Conv1d``, ``nn.Conv2d`` or ``nn.Conv3d``, or one of their subclasses that computes the same.

        Returns:
            Its spec.

        Raises:
            ValueError: It is none, or computes something else.
        """
        kind = next((kind for kind in CONVOLUTIONS_OF_TORCH if isinstance(conv, kind)), None)
        if isinstance(conv, _TRANSPOSED):
            raise ValueError(
                f"{type(conv).__name__} is transposed, and replacements stand for convolutions that are not"
            )
        if kind is None:
            raise ValueError(f"{type(conv).__name__} is no convolution of torch.nn")
        assert isinstance(conv, CONVOLUTIONS_OF_TORCH)
        plain = type(conv).forward is kind.forward or type(conv).__module__.startswith("mmcv.cnn.bricks")
        time_padding = getattr(conv, "time_padding", None)  # of `specvid.models.backbones.inflate`
        if not plain and time_padding is None:
            raise ValueError(f"{type(conv).__name__} computes something else than torch's {kind.__name__}")
        padding = _padding(conv)
        if conv.padding_mode != "zeros" or padding is None:
            raise ValueError(f"it pads with {conv.padding!r} of {conv.padding_mode!r}, not both sides with zeros alike")
        return cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            conv.stride,
            padding,
            conv.dilation,
            conv.groups,
            conv.bias is not None,
            replicates_time=time_padding == "replicate",
        )

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None = None, *, groups: int | None = None) -> Tensor:
        """Convolve with this geometry.

        Args:
            x: (B, C, *sizes).
            weight: (O, C / groups, *kernel_size).
            bias: (O,).
            groups: Others than the spec's.

        Returns:
            (B, O, *sizes of the output).
        """
        padding = self.padding
        if self.replicates_time and padding[0]:
            x = F.pad(x, (*(0 for _ in padding[1:] for _ in range(2)), padding[0], padding[0]), mode="replicate")
            padding = (0, *padding[1:])
        convolve = _CONVOLVE[self.dims - 1]
        return convolve(x, weight, bias, self.stride, padding, self.dilation, self.groups if groups is None else groups)

    def convolve_each(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Convolve each sample with kernels of its own.

        Args:
            x: (B, C, *sizes).
            weight: M kernels a sample, (B, M, O, C / groups, *kernel_size).
            bias: (B, M, O).

        Returns:
            (B, M, O, *sizes of the output).
        """
        batch, kernels, groups, out = *weight.shape[:2], self.groups, self.out_channels // self.groups
        if _FORM["products"]:
            y = self._multiply_each(x, weight)
            return y if bias is None else y + bias.reshape(*bias.shape, *(1 for _ in self.kernel_size))
        if batch == 0:
            one = self.convolve_each(x.new_zeros(1, *x.shape[1:]), weight.new_zeros(1, *weight.shape[1:]))
            return one[:0]
        each = weight.unflatten(2, (groups, out)).transpose(1, 2)  # (B, groups, M, O / groups, ...)
        y = self.convolve(x.flatten(0, 1)[None], each.flatten(0, 3), groups=batch * groups)
        y = y.reshape(batch, groups, kernels, out, *y.shape[2:]).transpose(1, 2).flatten(2, 3)
        if bias is not None:
            y = y + bias.reshape(*bias.shape, *(1 for _ in self.kernel_size))
        return y

    def _multiply_each(self, x: Tensor, weight: Tensor) -> Tensor:
        """As `convolve_each`, by matrix products with shifted copies of x: for any batch, but in more memory."""
        first = (self.padding[0],) * 2
        if self.replicates_time:
            x = F.pad(x, (*(0 for _ in self.padding[1:] for _ in range(2)), *first), mode="replicate")
            first = (0, 0)
        x = F.pad(x, (*(p for p in reversed(self.padding[1:]) for _ in range(2)), *first))
        axes = list(zip(x.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True))
        sizes = [(length - d * (k - 1) - 1) // step + 1 for length, k, step, d in axes]
        copies = []
        for place in product(*(range(k) for k in self.kernel_size)):
            part = x
            for axis, (at, size, step, d) in enumerate(zip(place, sizes, self.stride, self.dilation, strict=True)):
                part = part[(slice(None),) * (2 + axis) + (slice(at * d, at * d + (size - 1) * step + 1, step),)]
            copies.append(part.flatten(2))
        seen = torch.stack(copies, dim=2).unflatten(1, (self.groups, -1)).flatten(2, 3)  # (B, groups, C·window, N)
        each = weight.unflatten(2, (self.groups, -1)).transpose(1, 2).flatten(4).flatten(2, 3)
        y = each @ seen  # (B, groups, M·O / groups, C·window) of each sample
        y = y.unflatten(2, (weight.shape[1], -1)).transpose(1, 2).flatten(2, 3)
        return y.reshape(*y.shape[:3], *sizes)

    def build(self, kind: type[nn.Conv1d | nn.Conv2d | nn.Conv3d] | None = None) -> nn.Conv1d | nn.Conv2d | nn.Conv3d:
        """A plain convolution of this spec, with torch's own start.

        Args:
            kind: Its class, which takes the arguments of torch's; torch's own if not given.

        Returns:
            The convolution.
        """
        kind = kind or CONVOLUTIONS_OF_TORCH[self.dims - 1]
        conv = kind(
            self.in_channels,
            self.out_channels,
            self.kernel_size,  # type: ignore[arg-type]
            self.stride,  # type: ignore[arg-type]
            self.padding,  # type: ignore[arg-type]
            self.dilation,  # type: ignore[arg-type]
            self.groups,
            self.bias,
        )
        if hasattr(conv, "time_padding"):
            conv.time_padding = "replicate" if self.replicates_time else "zeros"  # type: ignore[assignment]
        return conv


def is_convolution(module: nn.Module) -> bool:
    """Whether a module is a convolution, perhaps one that nothing here can stand for.

    Args:
        module: Any module.

    Returns:
        True for those of torch and what is derived from them, transposed ones included.
    """
    return isinstance(module, (*CONVOLUTIONS_OF_TORCH, *_TRANSPOSED))


def _padding(conv: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> tuple[int, ...] | None:
    """On both sides of each axis; None where the sides differ, as of ``"same"`` with an even window."""
    if not isinstance(conv.padding, str):
        return conv.padding
    both = [d * (k - 1) if conv.padding == "same" else 0 for k, d in zip(conv.kernel_size, conv.dilation, strict=True)]
    return None if any(one % 2 for one in both) else tuple(one // 2 for one in both)


@contextmanager
def kernels_as_products(yes: bool = True) -> Iterator[None]:
    """While the block runs, kernels of single samples are applied, and bins averaged, by matrix products.

    That is slower, in all threads, and what formats take that have neither a convolution whose number of groups varies
    with the batch nor bins of features of any size (ONNX).

    Args:
        yes: Else nothing changes.
    """
    before = _FORM["products"]
    _FORM["products"] = before or yes
    try:
        yield
    finally:
        _FORM["products"] = before


def pool_to(x: Tensor, bins: tuple[int, ...]) -> Tensor:
    """Means over bins that cover each axis; they overlap where they do not divide its length.

    Args:
        x: (B, C, *sizes).
        bins: How many along each axis.

    Returns:
        (B, C, *bins).
    """
    if _FORM["products"]:
        for axis, count in enumerate(bins, start=2):
            x = (x.movedim(axis, -1) @ _bins(x.shape[axis], count, x).mT).movedim(-1, axis)
        return x
    pool: Callable[..., Tensor] = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[len(bins) - 1]
    return pool(x, bins if len(bins) > 1 else bins[0])


def _bins(length: int, count: int, like: Tensor) -> Tensor:
    """(count, length): the weights of positions in the mean of each bin, those of torch's adaptive pooling."""
    place, number = torch.arange(length, device=like.device), torch.arange(count, device=like.device).unsqueeze(1)
    inside = (place >= number * length // count) & (place * count < (number + 1) * length)
    share = inside.to(like.dtype)
    return share / share.sum(1, keepdim=True)


def mean_of(x: Tensor) -> Tensor:
    """The mean over positions, (B, C, *sizes) -> (B, C), summed in float32 at least."""
    return x.flatten(2).mean(-1, dtype=torch.promote_types(x.dtype, torch.float32)).to(x.dtype)
