"""Weights: reading files (never running code from them), matching their names to a model, loading, saving."""

from specvid.models.weights.load import load_weights
from specvid.models.weights.report import LoadReport
from specvid.models.weights.save import save_weights

__all__ = ["LoadReport", "load_weights", "save_weights"]
