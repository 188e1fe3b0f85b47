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
    """Decorator: makes a module class ``(channels, *, options...)`` insertable as ``name``."""

    def register(part: Part) -> Part:
        _PARTS[name] = part
        return part

    return register


def list_parts() -> list[str]:
    """Names that `create_part` takes, sorted."""
    return sorted(_PARTS)


def part_options(name: str) -> dict[str, Any]:
    """Every option of a part with its default. ``ValueError`` for an unknown part."""
    if name not in _PARTS:
        raise unknown("part", name, _PARTS)
    parameters = inspect.signature(_PARTS[name]).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}


def create_part(name: str, channels: int, **options: Any) -> nn.Module:
    """The part called ``name`` for features of ``channels``. ``ValueError`` for an unknown part, option or value."""
    known = part_options(name)
    for option in options:
        if option not in known:
            raise unknown(f"option of part {name!r}", option, known)
    return _PARTS[name](channels, **options)
