"""Advice of a training's errors, as who runs an ablation can follow it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from specvid.config import to_dict
from specvid.pipelines.ablate.grid import OWN, AblationConfig
from specvid.pipelines.action.config import ActionConfig
from specvid.pipelines.reid.config import ReidConfig


def as_settings(text: str) -> str:
    """Options of a training as the grid takes them: ``--set lr=0.1`` for ``--lr 0.1``.

    Args:
        text: an error or a warning. Commands in backquotes stay as they are.

    Returns:
        The text; options of the grid itself, and those of nothing here, are left.
    """

    def setting(found: re.Match[str]) -> str:
        name, value = found[1], found[2]
        if name == "recipe":
            return "--recipes"
        if name not in _settings():
            return found[0]
        return f"--set {name}={value}" if value else name

    return re.sub(r"`[^`]*`|(?<!\S)--([a-z][a-z-]*)(?: ([A-Z]+\b|\d[\d.]*\d|\d))?(?![\w=])", setting, text)


@cache
def _settings() -> frozenset[str]:
    """The options of trainings that are none of the grid."""
    names = (name for kind in (ActionConfig, ReidConfig) for name in _names(to_dict(kind())))
    return frozenset(names) - OWN - {field.name for field in fields(AblationConfig)}


def _names(settings: Mapping[str, Any]) -> Iterator[str]:
    """The options of a training, as its config saves them, at any depth."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _names(value)
        else:
            yield name.replace("_", "-")
