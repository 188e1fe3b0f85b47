"""The confusion matrix as a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def save_confusion(confusion: np.ndarray, classes: Sequence[str], path: str | Path, *, title: str = "") -> None:
    """Draws ``confusion`` (C, C + 1), as ``score_classification`` gives it, into an image file.

    Shades are shares of the true class; the numbers of clips are written in where there is room. The column of clips
    without a prediction is drawn only when there are any.
    """
    from matplotlib.figure import Figure

    count = len(classes)
    if confusion.shape != (count, count + 1):
        raise ValueError(f"confusion of shape {confusion.shape} must be {count} x {count + 1} for {count} classes.")
    columns = [*classes, "no prediction"] if confusion[:, count].any() else list(classes)
    counts = confusion[:, : len(columns)]
    shares = counts / np.maximum(confusion.sum(axis=1, keepdims=True), 1)

    side = min(30.0, max(5.0, 2.5 + 0.28 * count))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    font = max(3.0, min(9.0, 300 / max(count, 1)))
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=font)
    axes.set_yticks(range(count), classes, fontsize=font)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(title, fontsize=9, wrap=True)
    figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.04)
    if count <= 30:
        for row, column in np.argwhere(counts > 0):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=font)
    figure.savefig(Path(path), dpi=120)
