"""Packages of the optional extras, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType


def require(module: str, *, extra: str, what: str) -> ModuleType:
    """Import a package of an extra.

    Args:
        module: Its dotted name.
        extra: The extra of specvid that installs it.
        what: The thing the user asked for, which begins the message, e.g. ``"backbone 'timm:resnet18'"``.

    Returns:
        The package.

    Raises:
        ValueError: It cannot be imported; with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"{what} needs {module}, which cannot be imported ({error}). Run `pip install 'specvid[{extra}]'`"
        ) from error
