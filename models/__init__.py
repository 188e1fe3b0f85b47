"""Models: blocks (affinity x graph filter), backbones, insertion of the ones into the others, weights.

torch is imported with the first use of a name, not before: the command line answers ``--help`` without it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specvid.models.backbones.registry import list_backbones
    from specvid.models.factory import create_model
    from specvid.models.pretrained import load
    from specvid.models.video_model import VideoModel

__all__ = ["VideoModel", "create_model", "list_backbones", "load"]

_HOME = {
    "VideoModel": "specvid.models.video_model",
    "create_model": "specvid.models.factory",
    "list_backbones": "specvid.models.backbones.registry",
    "load": "specvid.models.pretrained",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
