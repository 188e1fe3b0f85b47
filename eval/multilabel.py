"""Scores of a classifier whose clips may have several classes, or none: average precision, decisions by thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specvid.eval.classification import draw_title
from specvid.files import replacing_file
from specvid.fonts import lettering
from specvid.text import printable_name


@dataclass(frozen=True)
class MultilabelScore:
    """Scores over N clips of C classes; all lie in [0, 1].

    Attributes:
        mean_ap: mean of ``per_class`` over the classes that have clips (mAP).
        per_class: (C,) average precision of each class, NaN where it has no clip.
        f1: F1 of all decisions together (micro).
        mean_f1: mean over the classes that have clips of their F1 (macro).
        thresholds: (C,) from which probability on a class is decided for.
        decided: (N, C) bool.
        clips: N.
        missing: number of clips without a prediction.
    """

    mean_ap: float
    per_class: np.ndarray
    f1: float
    mean_f1: float
    thresholds: np.ndarray
    decided: np.ndarray
    clips: int
    missing: int


def average_precision(scores: np.ndarray, positives: np.ndarray) -> float:
    """Area under the steps of precision over recall; equal scores are one step, as in scikit-learn.

    Args:
        scores: (N,) of the clips; higher is more probable.
        positives: (N,) bool, which clips are of the class.

    Returns:
        sum over thresholds of (recall - recall before) x precision; NaN where no clip is of the class.
    """
    if not positives.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positives[order])
    last = np.append(np.diff(scores[order]) != 0, True)  # of each run of equal scores
    precision, recall = (hits / np.arange(1, len(hits) + 1))[last], (hits / hits[-1])[last]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def score_multilabel(
    probabilities_nc: np.ndarray,
    labels: Sequence[Sequence[int]],
    thresholds: Sequence[float] | np.ndarray | None = None,
) -> MultilabelScore:
    """Score a classifier over a list of clips.

    Args:
        probabilities_nc: (N, C) probabilities. A row that is not finite throughout is a clip without a prediction: it
            is ranked last in every class, and nothing is decided for it.
        labels: (N,) the classes of each clip.
        thresholds: (C,) from `best_thresholds`; 0.5 for all if not given.

    Returns:
        The scores.

    Raises:
        ValueError: shapes or labels that do not fit.
    """
    probabilities, positives = np.asarray(probabilities_nc, dtype=np.float64), _positives(probabilities_nc, labels)
    clips, classes = probabilities.shape
    used = np.full(classes, 0.5) if thresholds is None else np.asarray(thresholds, dtype=np.float64)
    if used.shape != (classes,):
        raise ValueError(f"thresholds of shape {used.shape}: expected {classes}, one per class.")
    valid = np.asarray(np.isfinite(probabilities).all(axis=1))
    scores = np.where(valid[:, None], probabilities, -1.0)
    decided = (scores >= used) & valid[:, None]
    per_class = np.array([average_precision(scores[:, label], positives[:, label]) for label in range(classes)])
    has_clips = positives.any(axis=0)
    return MultilabelScore(
        mean_ap=float(np.nanmean(per_class)) if has_clips.any() else float("nan"),
        per_class=per_class,
        f1=float(_f1(decided.ravel()[:, None], positives.ravel()[:, None])[0]),
        mean_f1=float(_f1(decided, positives)[has_clips].mean()) if has_clips.any() else float("nan"),
        thresholds=used,
        decided=decided,
        clips=clips,
        missing=int((~valid).sum()),
    )


def best_thresholds(probabilities_nc: np.ndarray, labels: Sequence[Sequence[int]]) -> np.ndarray:
    """The threshold of each class with the highest F1, to be chosen on clips that are not tested on.

    Args:
        probabilities_nc: (N, C), as in `score_multilabel`.
        labels: (N,) the classes of each clip.

    Returns:
        (C,) probabilities, each in the middle between two that occur; the highest one of equally good ones, and 0.5 for
        a class without clips.
    """
    probabilities, positives = np.asarray(probabilities_nc, dtype=np.float64), _positives(probabilities_nc, labels)
    valid = np.asarray(np.isfinite(probabilities).all(axis=1))
    best = np.full(probabilities.shape[1], 0.5)
    for label in np.flatnonzero(positives[valid].any(axis=0)):
        values = np.unique(probabilities[valid, label])[::-1]
        steps = np.append((values[:-1] + values[1:]) / 2, values[-1] / 2)  # decides for all from values[i] on
        decided = probabilities[valid, label][:, None] >= steps
        truth = np.broadcast_to(positives[valid, label][:, None], decided.shape)
        lost = int(positives[~valid, label].sum())  # clips of the class that nothing can be decided for
        best[label] = steps[int(np.argmax(_f1(decided, truth, lost)))]
    return best


def save_average_precisions(
    per_class: np.ndarray, classes: Sequence[str], path: str | Path, *, title: str = ""
) -> None:
    """Draw the average precision of each class into an image file, the best one on top.

    Args:
        per_class: (C,) from `MultilabelScore`; classes without a clip (NaN) are left out.
        classes: (C,) names.
        path: the file; its suffix chooses the image format.
        title: printed above the bars.
    """
    from matplotlib.figure import Figure

    order = [label for label in np.argsort(per_class) if np.isfinite(per_class[label])]
    with lettering([title, *classes]):
        figure = Figure(figsize=(7, min(60.0, 1.5 + 0.22 * len(order))), layout="constrained")
        axes = figure.add_subplot()
        axes.barh(range(len(order)), per_class[order], color="#4477aa")
        names = [printable_name(classes[label]) for label in order]
        axes.set_yticks(range(len(order)), names, fontsize=8)
        axes.set_xlim(0, 1)
        axes.set_xlabel("average precision")
        draw_title(figure, title)
        with replacing_file(path) as staging:
            figure.savefig(staging, dpi=120)


def _f1(decided: np.ndarray, positives: np.ndarray, lost: int = 0) -> np.ndarray:
    """F1 of each column; 0 where there is nothing to find and nothing was decided for."""
    right = (decided & positives).sum(axis=0)
    total = decided.sum(axis=0) + positives.sum(axis=0) + lost
    return 2 * right / np.maximum(total, 1)


def _positives(probabilities_nc: np.ndarray, labels: Sequence[Sequence[int]]) -> np.ndarray:
    """(N, C) bool. ValueError where they do not fit the probabilities."""
    shape = np.shape(probabilities_nc)
    if len(shape) != 2 or 0 in shape:
        raise ValueError(f"probabilities of shape {shape} must be (clips, classes), neither of them 0.")
    if len(labels) != shape[0]:
        raise ValueError(f"labels of {len(labels)} clips: expected {shape[0]}, as there are probabilities.")
    positives = np.zeros(shape, dtype=bool)
    for row, own in enumerate(labels):
        for label in own:
            if not 0 <= label < shape[1]:
                raise ValueError(f"label {label} of clip {row}: expected 0 to {shape[1] - 1}.")
            positives[row, label] = True
    return positives
