"""Packages of the optional extras, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType


def require(module: str, *, extra: str, what: str) -> ModuleType:
    """The package ``module``, imported. ``ValueError`` with the command that installs it where it cannot be.

    ``what``: the thing the user asked for, which begins the message, e.g. ``"backbone 'timm:resnet18'"``.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"{what} needs {module}, which cannot be imported ({error}). Run `pip install 'specvid[{extra}]'`"
        ) from error
