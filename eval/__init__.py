"""Scores: what a paper prints, and which protocol it is.

Re-identification: ``score_reid`` and its neighbours. Everything is imported on first use, so that this package costs
nothing to import.
"""

import importlib
from typing import Any

_PUBLIC = {
    "score_reid": "retrieval",
    "score_protocols": "retrieval",
    "ReidScore": "reid",
    "SplitScore": "reid",
    "over_splits": "reid",
    "PROTOCOLS": "protocols",
    "NoMatchError": "protocols",
    "KReciprocal": "rerank",
    "nearest": "neighbours",
    "ReidFeatures": "features",
    "load_features": "feature_files",
    "save_features": "feature_files",
}

__all__ = sorted(_PUBLIC)  # noqa: PLE0605, RUF100


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"specvid.eval.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'specvid.eval' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
