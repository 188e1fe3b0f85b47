"""The registry of parts: a dict and a decorator."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from specvid.errors import unknown

Part = TypeVar("Part", bound=Callable[..., nn.Module])

_PARTS: dict[str, Callable[..., nn.Module]] = {}


def register_part(name: str) -> Callable[[Part], Part]:
    """Decorator that makes a module class insertable.

    Args:
        name: Of the part.

    Returns:
        The decorator, for a class ``(channels, *, options...)``; it returns the class.
    """

    def register(part: Part) -> Part:
        _PARTS[name] = part
        return part

    return register


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
    if name not in _PARTS:
        raise unknown("part", name, _PARTS)
    parameters = inspect.signature(_PARTS[name]).parameters.values()
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
    known = part_options(name)
    for option in options:
        if option not in known:
            raise unknown(f"option of part {name!r}", option, known)
    return _PARTS[name](channels, **options)
