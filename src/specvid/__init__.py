"""specvid: spectral nonlocal blocks for video backbones.

``create_model`` and ``create_block`` build, ``list_backbones`` and ``list_blocks`` say what there is. The parts live in
``specvid.models``, ``specvid.datasets``, ``specvid.eval`` and ``specvid.pipelines``; nothing heavy is imported before
it is used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "create_block": "specvid.models.blocks",
    "list_blocks": "specvid.models.blocks",
    "create_model": "specvid.models",
    "list_backbones": "specvid.models",
}
_SUBPACKAGES = ("datasets", "eval", "models", "pipelines", "tools")

__all__ = ["__version__", *_PUBLIC, *_SUBPACKAGES]  # noqa: PLE0604, RUF100


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"specvid.{name}")
    raise AttributeError(f"module 'specvid' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
