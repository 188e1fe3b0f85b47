"""A scored test list: its entry of results.json, the CSV of its clips, the picture, the text."""

import csv
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from specvid.datasets.clips.transforms import TestTransform
from specvid.datasets.clips.videos import TestViews
from specvid.eval.classification import ClassificationScore, save_confusion, score_classification
from specvid.eval.multilabel import MultilabelScore, save_average_precisions, score_multilabel
from specvid.files import replacing_file, write_json
from specvid.pipelines.action.data import ActionLists
from specvid.pipelines.action.entries import headline
from specvid.pipelines.engine.run import RunFolder
from specvid.text import counted, csv_cell

_SAME = ("split", "checkpoint", "clips", "crops")
"""What makes two entries of results.json one evaluation."""


@dataclass(frozen=True)
class ClipScores:
    """A network's scores of clips.

    Args:
        probabilities: (N, C), float64: softmax (of several classes a clip: sigmoid) averaged over the views; a row of
            NaN where a clip has none.
        errors: per clip, why it has none; empty where all is well.
        repeated: per clip, why it has frames more than once (a video shorter than the clip, lost frames); else empty.
        unusual: per clip, what is not as its file's header or the list announces, though it is read; else empty.
    """

    probabilities: np.ndarray
    errors: list[str]
    repeated: list[str]
    unusual: list[str]


@dataclass(frozen=True)
class ActionResult(ABC):
    """A test list, scored. `result_of` makes one.

    Args:
        lists: the split.
        scores: of the clips of its test list.
        score: their figures.
        about: what must stand beside the figures.
    """

    columns: ClassVar[tuple[str, ...]]

    lists: ActionLists
    scores: ClipScores
    score: Any
    about: Mapping[str, Any]

    @abstractmethod
    def figures(self) -> dict[str, Any]:
        """The figures of its entry, those of each class among them."""

    @abstractmethod
    def row(self, number: int) -> list[object]:
        """The columns of a clip in clips.csv between its name, and error and warning.

        Args:
            number: of the clip in the test list.
        """

    @abstractmethod
    def details(self, entry: Mapping[str, Any]) -> str:
        """The figures that come second, in a line.

        Args:
            entry: from `entry`.
        """

    def entry(self) -> dict[str, Any]:
        """Its entry of results.json."""
        lists, scores, score = self.lists, self.scores, self.score
        return {
            **self.about,
            **self.figures(),
            "listed": score.clips,
            "scored": score.clips - score.missing,
            "unreadable": [record.name for record, error in zip(lists.test, scores.errors, strict=True) if error],
            "repeated": [record.name for record, reason in zip(lists.test, scores.repeated, strict=True) if reason],
            "unusual": [record.name for record, reason in zip(lists.test, scores.unusual, strict=True) if reason],
        }

    def save(self, run: RunFolder) -> Path:
        """Write ``eval/splitS-CHECKPOINT-CxV/`` of a run, and its entry of results.json.

        Args:
            run: the run that was scored.

        Returns:
            The folder.
        """
        entry = self.entry()
        folder = run.evaluation(f"split{entry['split']}-{entry['checkpoint']}-{entry['clips']}x{entry['crops']}")
        write_json(folder / "results.json", entry)
        self.save_clips(folder / "clips.csv")
        self.save_picture(folder, title=headline(entry))
        run.write_evaluation(entry, _SAME)
        return folder

    def save_clips(self, path: Path) -> None:
        """Write a row for each clip: its class, the predicted one, probabilities, or the error, and a warning.

        Args:
            path: a CSV file.
        """
        with (
            replacing_file(path) as staging,
            staging.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            table = csv.writer(file)
            table.writerow(["clip", *self.columns, "error", "warning"])
            for number, record in enumerate(self.lists.test):
                warnings = filter(None, (self.scores.repeated[number], self.scores.unusual[number]))
                about = (self.scores.errors[number], "; ".join(warnings))
                table.writerow(map(csv_cell, [record.name, *self.row(number), *about]))

    @abstractmethod
    def save_picture(self, folder: Path, *, title: str) -> None:
        """Draw the classes.

        Args:
            folder: for the picture.
            title: printed above it.
        """

    def describe(self, title: str, folder: Path | None = None) -> str:
        """The figures as text, with split and views beside them, and the clips that count as wrong unread.

        Args:
            title: what was scored.
            folder: where the details are.

        Returns:
            Several lines.
        """
        entry, errors = self.entry(), [error for error in self.scores.errors if error]
        selected = f" ({entry['best_is']})" if "best_is" in entry else ""
        lines = [
            f"{title}, {entry['checkpoint']} epoch{selected}:",
            headline(entry),
            self.details(entry),
            *(f"counted wrong: {error}" for error in errors[:10]),
        ]
        if len(errors) > 10:
            lines.append(f"counted wrong: {len(errors) - 10} more, see clips.csv")
        for kind, words in (
            ("repeated", "frames come more than once"),
            ("unusual", "not as headers or lists announce"),
        ):
            if names := entry[kind]:
                first = ", ".join(names[:3]) + ", ..." * (len(names) > 3)
                lines.append(f"{words}: {counted(len(names), 'clip')}, {first} (clips.csv says why)")
        if folder is not None:
            lines.append(f"per class and per clip: {folder}")
        return "\n  ".join(lines)

    def per_class(self) -> dict[str, float | None]:
        """The figure of each class by its name; None where it has no clip."""
        figures = zip(self.lists.classes, self.score.per_class.tolist(), strict=True)
        return {name: None if math.isnan(figure) else figure for name, figure in figures}


class SingleLabelResult(ActionResult):
    """A test list of clips of one class each, scored by top-1."""

    columns = ("class", "predicted", "correct", "p_predicted", "p_class")
    score: ClassificationScore

    def figures(self) -> dict[str, Any]:
        """Top-1, top-5, mean over the classes, and each of them."""
        score = self.score
        return {"top1": score.top1, "top5": score.top5, "mean_class": score.mean_class, "per_class": self.per_class()}

    def row(self, number: int) -> list[object]:
        """Class, predicted class, whether they are the same, the probabilities of both.

        Args:
            number: of the clip in the test list.
        """
        classes, label = self.lists.classes, self.lists.test[number].label
        predicted, probabilities = int(self.score.predicted[number]), self.scores.probabilities[number]
        if predicted < 0:
            return [classes[label], "", 0, "", ""]
        shares = (f"{probabilities[which]:.6f}" for which in (predicted, label))
        return [classes[label], classes[predicted], int(predicted == label), *shares]

    def details(self, entry: Mapping[str, Any]) -> str:
        """Top-5 and the mean over the classes.

        Args:
            entry: from `entry`.
        """
        classes = len(entry["per_class"])
        there = "is" if classes == 1 else "are"
        trivial = f" (there {there} only {counted(classes, 'class')})" if classes <= 5 else ""
        top5, mean_class = f"top-5 {100 * entry['top5']:.2f} %{trivial}", f"{100 * entry['mean_class']:.2f} %"
        return f"{top5}, mean class accuracy {mean_class}, same views"

    def save_picture(self, folder: Path, *, title: str) -> None:
        """Draw the confusion matrix.

        Args:
            folder: for the picture.
            title: printed above it.
        """
        save_confusion(self.score.confusion, self.lists.classes, folder / "confusion.png", title=title)


class MultilabelResult(ActionResult):
    """A test list of clips that may have several classes, scored by mean average precision."""

    columns = ("classes", "decided", "probabilities")
    score: MultilabelScore

    def figures(self) -> dict[str, Any]:
        """mAP, F1 at the thresholds, the average precision and the threshold of each class."""
        score = self.score
        return {
            "map": score.mean_ap,
            "f1": score.f1,
            "mean_f1": score.mean_f1,
            "per_class": self.per_class(),
            "thresholds": dict(zip(self.lists.classes, score.thresholds.tolist(), strict=True)),
        }

    def row(self, number: int) -> list[object]:
        """The classes of a clip, those decided for, and all probabilities, each parted by ``|``.

        Args:
            number: of the clip in the test list.
        """
        classes = self.lists.classes
        own = "|".join(classes[label] for label in self.lists.test[number].labels)
        if self.scores.errors[number]:
            return [own, "", ""]
        decided = "|".join(classes[label] for label in np.flatnonzero(self.score.decided[number]))
        return [own, decided, "|".join(f"{share:.6f}" for share in self.scores.probabilities[number])]

    def save_picture(self, folder: Path, *, title: str) -> None:
        """Draw the average precision of each class.

        Args:
            folder: for the picture.
            title: printed above it.
        """
        save_average_precisions(self.score.per_class, self.lists.classes, folder / "average_precision.png", title=title)

    def details(self, entry: Mapping[str, Any]) -> str:
        """F1, and where the thresholds come from.

        Args:
            entry: from `entry`.
        """
        chosen = (
            "chosen on the validation part" if entry["thresholds_chosen"] else "0.5: no validation part chose others"
        )
        f1, mean_f1 = f"F1 {100 * entry['f1']:.2f} % of all decisions", f"mean class F1 {100 * entry['mean_f1']:.2f} %"
        return f"{f1}, {mean_f1} (thresholds {chosen})"


def result_of(
    lists: ActionLists,
    scores: ClipScores,
    *,
    checkpoint: str,
    views: TestViews,
    thresholds: Sequence[float] | None = None,
    leaked: int = 0,
    selected_by: str = "",
) -> ActionResult:
    """Score a test list.

    Args:
        lists: the split.
        scores: of the clips of its test list.
        checkpoint: ``last`` or ``best``.
        views: what was scored of each clip.
        thresholds: (C,) of clips that may have several classes; 0.5 if not given.
        leaked: how many of the test clips the network was trained on, which makes the figure worthless.
        selected_by: what selected the checkpoint, where anything did.

    Returns:
        The result.
    """
    about = {
        "dataset": lists.title,
        **({} if lists.is_complete is None else {"complete": lists.is_complete}),
        "split": lists.split,
        "checkpoint": checkpoint,
        "clips": views.clips,
        "crops": cast(TestTransform, views.transform).crops,
        "input": f"{views.spec.describe_frames()}, {views.spec.describe_picture()}",
        "trained_on": leaked,
    }
    if views.spec.modality != "rgb":
        about["modality"] = views.spec.modality
    if views.spec.interpolation != "bilinear":
        about["interpolation"] = views.spec.interpolation
    if selected_by:
        about["best_is"] = selected_by
    if lists.is_multilabel:
        about["thresholds_chosen"] = thresholds is not None
        found = score_multilabel(scores.probabilities, [record.labels for record in lists.test], thresholds)
        return MultilabelResult(lists, scores, found, about)
    score = score_classification(scores.probabilities, [record.label for record in lists.test])
    return SingleLabelResult(lists, scores, score, about)
