"""Models: blocks (affinity x graph filter), backbones, insertion of the ones into the others, weights.

torch is imported with the first use of a name, not before: the command line answers ``--help`` without it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specvid.models.backbones.registry import list_backbones
    from specvid.models.factory import VideoModel, create_model

__all__ = ["VideoModel", "create_model", "list_backbones"]

_HOME = {
    "VideoModel": "specvid.models.factory",
    "create_model": "specvid.models.factory",
    "list_backbones": "specvid.models.backbones.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
