"""What is saved and printed of a scored test list: the entry of results.json, the CSV, the picture, the text."""

import csv
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from specvid.datasets.clips.transforms import TestTransform
from specvid.datasets.clips.videos import TestViews
from specvid.eval.classification import ClassificationScore, save_confusion, score_classification
from specvid.files import replacing_file, write_json
from specvid.pipelines.action.data import ActionLists
from specvid.pipelines.engine.run import RunFolder

_SAME = ("split", "checkpoint", "clips", "crops")
"""What makes two entries of results.json one evaluation."""


@dataclass(frozen=True)
class ClipScores:
    """A network's scores of clips.

    Args:
        probabilities: (N, C), float64: softmax averaged over the views; a row of NaN where a clip has none.
        errors: per clip, why it has none; empty where all is well.
        repeated: per clip, why it has frames more than once (a video shorter than the clip, lost frames); else empty.
    """

    probabilities: np.ndarray
    errors: list[str]
    repeated: list[str]

    def score(self, labels: Sequence[int]) -> ClassificationScore:
        """Compare with the true classes.

        Args:
            labels: of the N clips.

        Returns:
            The figures.
        """
        return score_classification(self.probabilities, labels)


@dataclass(frozen=True)
class ActionResult:
    """A test list, scored.

    Args:
        lists: the split.
        scores: of the clips of its test list.
        score: their figures.
        about: what must stand beside the figures.
    """

    lists: ActionLists
    scores: ClipScores
    score: ClassificationScore
    about: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        lists: ActionLists,
        scores: ClipScores,
        *,
        checkpoint: str,
        views: TestViews,
        leaked: int = 0,
        selected_by: str = "",
    ) -> "ActionResult":
        """Score a test list.

        Args:
            lists: the split.
            scores: of the clips of its test list.
            checkpoint: ``last`` or ``best``.
            views: what was scored of each clip.
            leaked: how many of the test clips the network was trained on; any make the figure worthless, and it says
                so.
            selected_by: what selected the checkpoint, where anything did.

        Returns:
            The result.
        """
        about = {
            "dataset": lists.title,
            "whole": lists.is_whole,
            "split": lists.split,
            "checkpoint": checkpoint,
            "clips": views.clips,
            "crops": cast(TestTransform, views.transform).crops,
            "trained_on": leaked,
        }
        if selected_by:
            about["best_is"] = selected_by
        return cls(lists, scores, scores.score([record.label for record in lists.test]), about)

    def entry(self) -> dict[str, Any]:
        """Its entry of results.json."""
        lists, scores, score = self.lists, self.scores, self.score
        per_class = zip(lists.classes, score.per_class.tolist(), strict=True)
        return {
            **self.about,
            "top1": score.top1,
            "top5": score.top5,
            "mean_class": score.mean_class,
            "per_class": {name: None if math.isnan(share) else share for name, share in per_class},
            "listed": score.clips,
            "scored": score.clips - score.missing,
            "unreadable": [record.name for record, error in zip(lists.test, scores.errors, strict=True) if error],
            "repeated": [record.name for record, reason in zip(lists.test, scores.repeated, strict=True) if reason],
        }

    def save(self, run: RunFolder) -> Path:
        """Write ``eval/splitS-CHECKPOINT-CxV/`` of a run, and its entry of results.json.

        Args:
            run: the run that was scored.

        Returns:
            The folder.
        """
        entry = self.entry()
        folder = run.path / "eval" / f"split{entry['split']}-{entry['checkpoint']}-{entry['clips']}x{entry['crops']}"
        write_json(folder / "results.json", entry)
        write_clips(folder / "clips.csv", self)
        save_confusion(self.score.confusion, self.lists.classes, folder / "confusion.png", title=headline(entry))
        run.write_evaluation(entry, _SAME)
        return folder

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
        trivial = f" (of {len(entry['per_class'])} classes: no news)" if len(entry["per_class"]) <= 5 else ""
        top5, mean_class = f"top-5 {100 * entry['top5']:.2f} %{trivial}", f"{100 * entry['mean_class']:.2f} %"
        lines = [
            f"{title}, {entry['checkpoint']} epoch{selected}:",
            headline(entry),
            f"{top5}, mean of classes {mean_class}, same views",
            *(f"counted wrong: {error}" for error in errors[:10]),
        ]
        if len(errors) > 10:
            lines.append(f"counted wrong: {len(errors) - 10} more, see clips.csv")
        if entry["repeated"]:
            names = ", ".join(entry["repeated"][:3]) + ", ..." * (len(entry["repeated"]) > 3)
            lines.append(f"frames come more than once: {names} (clips.csv says why)")
        if folder is not None:
            lines.append(f"per class and per clip: {folder}")
        return "\n  ".join(lines)


def headline(entry: Mapping[str, Any]) -> str:
    """The main figure with all that must stand beside it: data, split, views, clips, unreadable, with repeated frames.

    Args:
        entry: of results.json.

    Returns:
        E.g. ``top-1 81.07 % (UCF-101, split 1, 10 clips x 3 crops, 3783 of 3783 clips scored, 0 unreadable)``.
    """
    leaked = f", NOT HONEST: {entry['trained_on']} of these clips were trained on" if entry["trained_on"] else ""
    views = f"{_count(entry['clips'], 'clip')} x {_count(entry['crops'], 'crop')}"
    repeated = f", {len(entry['repeated'])} with repeated frames" if entry.get("repeated") else ""
    return (
        f"top-1 {100 * entry['top1']:.2f} % ({entry['dataset']}, split {entry['split']}, {views}, "
        f"{entry['scored']} of {entry['listed']} clips scored, {len(entry['unreadable'])} unreadable{repeated}{leaked})"
    )


def write_clips(path: Path, result: ActionResult) -> None:
    """Write a row for each clip: its class, the predicted one, the probabilities of both, or the error, and a note.

    Args:
        path: a CSV file.
        result: of the clips.
    """
    lists, scores = result.lists, result.scores
    with replacing_file(path) as staging, staging.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["clip", "class", "predicted", "correct", "p_predicted", "p_class", "error", "note"])
        for row, record in enumerate(lists.test):
            predicted, probabilities = int(result.score.predicted[row]), scores.probabilities[row]
            guess: list[object] = ["", 0, "", ""]
            if predicted >= 0:
                shares = (f"{probabilities[label]:.6f}" for label in (predicted, record.label))
                guess = [lists.classes[predicted], int(predicted == record.label), *shares]
            about = (record.name, lists.classes[record.label])
            table.writerow([*about, *guess, scores.errors[row], scores.repeated[row]])


def mean_over_splits(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean over splits of the mean over each split's runs.

    Args:
        entries: of results.json.

    Returns:
        The means, sample deviations (n - 1) over the splits, or over the runs where there is one split, and a sentence.
    """
    splits = sorted({entry["split"] for entry in entries})
    figures: dict[str, Any] = {}
    for name in ("top1", "top5", "mean_class"):
        per_split = [statistics.fmean(entry[name] for entry in entries if entry["split"] == split) for split in splits]
        figures[name] = statistics.fmean(per_split)
        spread = per_split if len(splits) > 1 else [entry[name] for entry in entries]
        figures[f"{name}_deviation"] = statistics.stdev(spread)
    over = f"splits {', '.join(map(str, splits))}" if len(splits) > 1 else f"{len(entries)} runs on split {splits[0]}"
    clips = f"{sum(entry['scored'] for entry in entries)} of {sum(entry['listed'] for entry in entries)} clips scored"
    views = " and ".join(sorted({f"{entry['clips']} x {entry['crops']} views" for entry in entries}))
    title = " and ".join(sorted({entry["dataset"] for entry in entries}))
    honest = "" if not any(entry["trained_on"] for entry in entries) else ", NOT HONEST: clips were trained on"
    text = f"mean over {over}: top-1 {100 * figures['top1']:.2f} ± {100 * figures['top1_deviation']:.2f} % "
    return {**figures, "splits": splits, "runs": len(entries), "text": f"{text}({title}, {views}, {clips}{honest})"}


def _count(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
