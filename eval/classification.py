"""Scores of a classifier over a fixed list of clips: each counts once, one without a prediction counts as wrong."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specvid.files import replacing_file
from specvid.fonts import lettering
from specvid.text import printable_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ClassificationScore:
    """Scores over N clips of C classes; shares lie in [0, 1].

    Attributes:
        top1: share of all N clips whose class is ranked first.
        top5: share of all N clips whose class is among the first five (any clip with a prediction where C <= 5).
        mean_class: mean of ``per_class`` over the classes that have clips.
        per_class: (C,) top-1 of each class, NaN where it has no clip.
        confusion: (C, C + 1) number of clips of class [row] predicted as [column]; the last column counts those without
            a prediction.
        predicted: (N,) class, or -1 without a prediction.
        clips: N.
        missing: number of clips without a prediction.
    """

    top1: float
    top5: float
    mean_class: float
    per_class: np.ndarray
    confusion: np.ndarray
    predicted: np.ndarray
    clips: int
    missing: int


def average_views(logits_vc: np.ndarray, *, multilabel: bool = False) -> np.ndarray:
    """Softmax of each view, then the mean over the views.

    Args:
        logits_vc: (..., V, C) logits of V views.
        multilabel: a clip may have several classes: the sigmoid of each logit instead.

    Returns:
        (..., C) probabilities, float64.

    Raises:
        ValueError: another shape, or no view.
    """
    logits = np.asarray(logits_vc, dtype=np.float64)
    if logits.ndim < 2 or logits.shape[-2] == 0:
        raise ValueError(f"logits of shape {logits.shape} must be (..., views, classes) with at least one view.")
    if multilabel:
        return (0.5 * (1 + np.tanh(0.5 * logits))).mean(axis=-2)  # the sigmoid, which overflows nowhere
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (exponentials / exponentials.sum(axis=-1, keepdims=True)).mean(axis=-2)


def score_classification(probabilities_nc: np.ndarray, labels_n: Sequence[int] | np.ndarray) -> ClassificationScore:
    """Score a classifier over a list of clips.

    Args:
        probabilities_nc: (N, C) probabilities. A row that is not finite throughout is a clip without a prediction
            (unreadable, missing): it counts as wrong everywhere and is never left out. Equal probabilities are ranked
            by class number.
        labels_n: (N,) true classes, 0 to C - 1.

    Raises:
        ValueError: shapes, types or labels that do not fit.
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


def draw_title(figure: Figure, title: str) -> None:
    """Write a title over a figure, in as many lines as its width takes.

    Args:
        figure: with room to lay itself out.
        title: may be empty.
    """
    letters = int(12 * figure.get_figwidth())  # of 9 points
    if title:
        figure.suptitle(textwrap.fill(printable_name(title, most=300), letters), fontsize=9)


def save_confusion(confusion: np.ndarray, classes: Sequence[str], path: str | Path, *, title: str = "") -> None:
    """Draw a confusion matrix into an image file.

    Shades are shares of the true class; the numbers of clips are written in where there is room. The column of clips
    without a prediction is there only if any clip needs it.

    Args:
        confusion: (C, C + 1) from ``ClassificationScore``.
        classes: (C,) names.
        path: the file; its suffix chooses the image format.
        title: printed above the matrix.

    Raises:
        ValueError: a shape that does not fit the classes.
    """
    from matplotlib.figure import Figure

    count = len(classes)
    if confusion.shape != (count, count + 1):
        raise ValueError(f"confusion of shape {confusion.shape} must be {count} x {count + 1} for {count} classes.")
    columns = [*classes, "no prediction"] if confusion[:, count].any() else list(classes)
    counts = confusion[:, : len(columns)]
    shares = counts / np.maximum(confusion.sum(axis=1, keepdims=True), 1)

    with lettering([title, *columns]):
        side = min(30.0, max(5.0, 2.5 + 0.28 * count))
        figure = Figure(figsize=(side + 1, side), layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        font = max(3.0, min(9.0, 300 / max(count, 1)))
        axes.set_xticks(range(len(columns)), list(map(printable_name, columns)), rotation=90, fontsize=font)
        axes.set_yticks(range(count), list(map(printable_name, classes)), fontsize=font)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        draw_title(figure, title)
        figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.04)
        if count <= 30:
            for row, column in np.argwhere(counts > 0):
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=font)
        with replacing_file(path) as staging:
            figure.savefig(staging, dpi=120)
