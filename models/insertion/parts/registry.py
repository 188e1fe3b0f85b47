"""The registry of parts."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from specvid.registry import Registry, check_options

Part = TypeVar("Part", bound=Callable[..., nn.Module])

_PARTS: Registry[Callable[..., nn.Module]] = Registry("part")


def register_part(name: str) -> Callable[[Part], Part]:
    """Decorator that makes a module class insertable.

    Args:
        name: Of the part.

    Returns:
        The decorator, for a class ``(channels, *, options...)``; it returns the class.

    Raises:
        ValueError: The name is taken.
    """
    return _PARTS.register(name)


def list_parts() -> list[str]:
    """Names that `create_part` takes.

    Returns:
        The names, sorted.
    """
    return sorted(_PARTS)


def part_options(name: str) -> dict[str, Any]:
    """Every option of a part with its default.

    Args:
        name: Of the part.

    Returns:
        The defaults by name.

    Raises:
        ValueError: The part is unknown.
    """
    parameters = inspect.signature(_PARTS.find(name)).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def create_part(name: str, channels: int, **options: Any) -> nn.Module:
    """Build a part.

    Args:
        name: Of the part.
        channels: C of the features.
        **options: Its options.

    Returns:
        A module (B, C, T, H, W), optional mask (B, T) -> (B, C, T', H, W).

    Raises:
        ValueError: The part, an option or its value is unknown.
    """
    check_options(f"part {name!r}", options, part_options(name))
    return _PARTS[name](channels, **options)
