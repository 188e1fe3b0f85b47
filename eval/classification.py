"""Scores of a classifier over a fixed list of clips: each counts once, one without a prediction counts as wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClassificationScore:
    """Shares lie in [0, 1]. N clips, C classes.

    ``top1``, ``top5``: share of all N clips whose class is the first, or among the first five (``top5`` is 1 for any
    readable clip where C <= 5); ``mean_class``: mean of ``per_class`` over the classes that have clips; ``per_class``
    (C,): top-1 of each class, NaN where it has no clip; ``confusion`` (C, C + 1): clips of class [row] predicted as
    [column], the last column those without a prediction; ``predicted`` (N,): class or -1; ``missing``: how many clips
    have no prediction.
    """

    top1: float
    top5: float
    mean_class: float
    per_class: np.ndarray
    confusion: np.ndarray
    predicted: np.ndarray
    clips: int
    missing: int


def average_views(logits_vc: np.ndarray) -> np.ndarray:
    """Softmax of each view, then the mean over the views: logits (..., V, C) -> probabilities (..., C), float64."""
    logits = np.asarray(logits_vc, dtype=np.float64)
    if logits.ndim < 2 or logits.shape[-2] == 0:
        raise ValueError(f"logits of shape {logits.shape} must be (..., views, classes) with at least one view.")
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (exponentials / exponentials.sum(axis=-1, keepdims=True)).mean(axis=-2)


def score_classification(probabilities_nc: np.ndarray, labels_n: Sequence[int] | np.ndarray) -> ClassificationScore:
    """Scores probabilities (N, C) against labels (N,) in 0 .. C - 1.

    A row that is not finite throughout is a clip without a prediction (unreadable, missing): it counts as wrong
    everywhere and is never left out. Equal probabilities are ranked by class number.
    """
    probabilities, labels = np.asarray(probabilities_nc, dtype=np.float64), np.asarray(labels_n)
    if probabilities.ndim != 2 or 0 in probabilities.shape:
        raise ValueError(f"probabilities of shape {probabilities.shape} must be (clips, classes), neither of them 0.")
    clips, classes = probabilities.shape
    if labels.shape != (clips,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels of shape {labels.shape}, {labels.dtype}: expected {clips} integers, one per clip.")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels from {labels.min()} to {labels.max()}: expected 0 to {classes - 1}.")

    valid = np.asarray(np.isfinite(probabilities).all(axis=1))
    ranked_nc = np.argsort(-np.where(valid[:, None], probabilities, 0), axis=1, kind="stable")
    hits_nc = (ranked_nc == labels[:, None]) & valid[:, None]
    predicted = np.where(valid, ranked_nc[:, 0], -1)

    confusion = np.zeros((classes, classes + 1), dtype=np.int64)
    np.add.at(confusion, (labels, np.where(valid, predicted, classes)), 1)
    totals = confusion.sum(axis=1)
    per_class = np.where(totals > 0, np.diagonal(confusion) / np.maximum(totals, 1), np.nan)
    return ClassificationScore(
        top1=float(hits_nc[:, 0].mean()),
        top5=float(hits_nc[:, :5].any(axis=1).mean()),
        mean_class=float(np.nanmean(per_class)),
        per_class=per_class,
        confusion=confusion,
        predicted=predicted,
        clips=clips,
        missing=int((~valid).sum()),
    )
