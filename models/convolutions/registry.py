"""The registry of convolution replacements: for each name a class, and its options with their defaults."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from specvid.models.convolutions.base import Convolution
from specvid.models.convolutions.spec import CONVOLUTIONS_OF_TORCH, ConvolutionSpec
from specvid.registry import Registry, check_options


@dataclass(frozen=True)
class ConvolutionEntry:
    """One entry of the registry.

    Args:
        name: What the replacement is called.
        build: Its class.
        options: Every option with its default.
    """

    name: str
    build: type[Convolution]
    options: dict[str, Any]


@dataclass(frozen=True)
class ConvolutionConfig:
    """What a replacement was created with.

    Args:
        name: That of the replacement.
        spec: Shape and geometry.
        options: Those that were given.
    """

    name: str
    spec: ConvolutionSpec
    options: dict[str, Any]


CONVOLUTIONS: Registry[ConvolutionEntry] = Registry("convolution")


def register_convolution(*names: str) -> Callable[[type[Convolution]], type[Convolution]]:
    """Enter a class ``Layer(spec, *, options...)`` into the registry.

    Args:
        *names: What it is called.

    Returns:
        A decorator for the class.

    Raises:
        ValueError: A name is taken.
    """

    def decorate(cls: type[Convolution]) -> type[Convolution]:
        options = {key: p.default for key, p in inspect.signature(cls).parameters.items() if key != "spec"}
        for name in names:
            CONVOLUTIONS.register(name)(ConvolutionEntry(name, cls, options))
        return cls

    return decorate


def list_convolutions() -> list[str]:
    """The names that :func:`create_convolution` knows, in alphabetical order."""
    return sorted(CONVOLUTIONS)


def convolution_options(name: str) -> dict[str, Any]:
    """The options of a replacement.

    Args:
        name: One of :func:`list_convolutions`.

    Returns:
        Every option with its default.

    Raises:
        ValueError: No replacement has this name.
    """
    return dict(CONVOLUTIONS.find(name).options)


def convolution_from(conv: nn.Module, name: str, **options: Any) -> Convolution:
    """Build what takes the place of a convolution, starting from its numbers.

    Args:
        conv: A convolution in one to three dimensions.
        name: One of :func:`list_convolutions`.
        **options: Those of :func:`convolution_options`.

    Returns:
        The layer, on the device, in the precision and in the mode of the convolution; ``start`` says how near it is.

    Raises:
        ValueError: An unknown name or option, a value that is not possible, or a convolution that does not fit.
    """
    entry = CONVOLUTIONS.find(name)
    check_options(f"convolution {name!r}", options, entry.options)
    spec = ConvolutionSpec.of(conv)
    layer = entry.build(spec, **options)
    assert isinstance(conv, CONVOLUTIONS_OF_TORCH)
    layer.to(conv.weight.device, conv.weight.dtype)
    layer.load_convolution(conv)
    # a parametrised convolution has a class of its own, which needs what parametrises it
    kind = type(conv).__mro__[1] if is_parametrized(conv) else type(conv)
    layer.config, layer.kind = ConvolutionConfig(name, spec, dict(options)), kind
    return layer.train(conv.training)


def create_convolution(
    name: str,
    channels: int,
    *,
    dims: int = 3,
    out_channels: int | None = None,
    kernel_size: int | tuple[int, ...] = 3,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] | None = None,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    bias: bool = False,
    **options: Any,
) -> Convolution:
    """Build a layer that stands for a convolution, starting from a random one.

    Args:
        name: One of :func:`list_convolutions`.
        channels: C of the input.
        dims: 1 (T), 2 (H, W) or 3 (T, H, W).
        out_channels: C of the output; that of the input if not given.
        kernel_size: Positions of the window along each axis.
        stride: Along each axis.
        padding: On both sides of each axis; that which keeps the size if not given.
        dilation: Along each axis.
        groups: Of channels that see only each other.
        bias: Whether there is one.
        **options: Those of :func:`convolution_options`.

    Returns:
        The layer.

    Raises:
        ValueError: An unknown name or option, or a value that is not possible.
    """
    if dims not in (1, 2, 3):
        raise ValueError(f"dims={dims!r} is not possible: a convolution has 1 (T), 2 (H, W) or 3 (T, H, W) dimensions.")

    def along(value: int | tuple[int, ...]) -> tuple[int, ...]:
        given = (value,) * dims if isinstance(value, int) else tuple(value)
        if len(given) != dims:
            raise ValueError(f"{value!r} is no number for each of the {dims} axes of a convolution with dims={dims}.")
        return given

    window, dilations = along(kernel_size), along(dilation)
    same = tuple(max(0, d * (k - 1) // 2) for k, d in zip(window, dilations, strict=True))
    spec = ConvolutionSpec(
        channels,
        channels if out_channels is None else out_channels,
        window,
        along(stride),
        same if padding is None else along(padding),
        dilations,
        groups,
        bias,
    )
    return convolution_from(spec.build(), name, **options)
