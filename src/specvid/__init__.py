"""specvid: spectral nonlocal blocks for video backbones.

``create_model`` and ``create_block`` build, ``insert`` puts blocks into anybody's network, ``replace_conv`` replaces
convolutions in it, ``load`` opens what was trained or shared, ``open_video`` a video; ``list_backbones`` and
``list_blocks`` say what there is. The parts live in ``specvid.models``, ``specvid.datasets``, ``specvid.eval`` and
``specvid.pipelines``; nothing heavy is imported before it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what `__getattr__` below imports on first use, for editors and type checkers
    from specvid import datasets, eval, models, pipelines, tools
    from specvid.datasets.decode import open_video
    from specvid.models import VideoModel, create_model, list_backbones, load
    from specvid.models.blocks import create_block, list_blocks
    from specvid.models.insertion.anybody import insert, remove
    from specvid.models.insertion.convolutions import merge_conv, replace_conv
    from specvid.pipelines.segments.streaming import StreamingRecogniser

__version__ = "0.1.0"

__all__ = [
    "StreamingRecogniser",
    "VideoModel",
    "__version__",
    "create_block",
    "create_model",
    "datasets",
    "eval",
    "insert",
    "list_backbones",
    "list_blocks",
    "load",
    "merge_conv",
    "models",
    "open_video",
    "pipelines",
    "remove",
    "replace_conv",
    "tools",
]

_HOME = {
    "StreamingRecogniser": "specvid.pipelines.segments.streaming",
    "VideoModel": "specvid.models",
    "create_block": "specvid.models.blocks",
    "create_model": "specvid.models",
    "insert": "specvid.models.insertion.anybody",
    "list_backbones": "specvid.models",
    "list_blocks": "specvid.models.blocks",
    "load": "specvid.models",
    "merge_conv": "specvid.models.insertion.convolutions",
    "open_video": "specvid.datasets.decode",
    "remove": "specvid.models.insertion.anybody",
    "replace_conv": "specvid.models.insertion.convolutions",
}
_SUBPACKAGES = ("datasets", "eval", "models", "pipelines", "tools")


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"specvid.{name}")
    raise AttributeError(f"module 'specvid' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
