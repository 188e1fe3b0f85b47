"""Scores: what a paper prints, and which protocol it is.

Re-identification: ``score_reid`` and its neighbours. Everything is imported on first use, so that this package costs
nothing to import.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what `__getattr__` below imports on first use, for editors and type checkers
    from specvid.eval.neighbours import nearest
    from specvid.eval.reid.features import ReidFeatures
    from specvid.eval.reid.files import load_features, save_features
    from specvid.eval.reid.protocols import PROTOCOLS, NoMatchError
    from specvid.eval.reid.rerank import KReciprocal
    from specvid.eval.reid.result import ReidScore, SplitScore, over_splits
    from specvid.eval.reid.score import score_protocols, score_reid

__all__ = [
    "PROTOCOLS",
    "KReciprocal",
    "NoMatchError",
    "ReidFeatures",
    "ReidScore",
    "SplitScore",
    "load_features",
    "nearest",
    "over_splits",
    "save_features",
    "score_protocols",
    "score_reid",
]

_HOME = {
    "KReciprocal": "reid.rerank",
    "NoMatchError": "reid.protocols",
    "PROTOCOLS": "reid.protocols",
    "ReidFeatures": "reid.features",
    "ReidScore": "reid.result",
    "SplitScore": "reid.result",
    "load_features": "reid.files",
    "nearest": "neighbours",
    "over_splits": "reid.result",
    "save_features": "reid.files",
    "score_protocols": "reid.score",
    "score_reid": "reid.score",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"specvid.eval.{_HOME[name]}"), name)
    raise AttributeError(f"module 'specvid.eval' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
