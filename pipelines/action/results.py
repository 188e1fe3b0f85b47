"""What is kept and said of a scored test list: the entry of results.json, the CSV, the picture, the printed line."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specvid.eval.classification import ClassificationScore, score_classification
from specvid.eval.confusion import save_confusion
from specvid.files import write_json
from specvid.pipelines.action.data import ActionLists
from specvid.pipelines.action.scores import ClipScores
from specvid.pipelines.engine.run import RunFolder


def summarise(
    lists: ActionLists, scores: ClipScores, *, checkpoint: str, clips: int, crops: int, leaked: int = 0
) -> tuple[dict[str, Any], ClassificationScore]:
    """The entry of results.json for one test list scored with ``clips`` x ``crops`` views of each clip.

    ``leaked``: how many of the test clips the model was trained on; more than 0 makes the figure worthless, and it
    says so.
    """
    score = score_classification(scores.probabilities, [record.label for record in lists.test])
    per_class = zip(lists.classes, score.per_class.tolist(), strict=True)
    unreadable = [record.name for record, error in zip(lists.test, scores.errors, strict=True) if error]
    short = [record.name for record, reason in zip(lists.test, scores.short, strict=True) if reason]
    entry = {
        "dataset": lists.title,
        "whole": lists.is_whole,
        "split": lists.split,
        "checkpoint": checkpoint,
        "clips": clips,
        "crops": crops,
        "top1": score.top1,
        "top5": score.top5,
        "mean_class": score.mean_class,
        "per_class": {name: None if math.isnan(share) else share for name, share in per_class},
        "listed": score.clips,
        "scored": score.clips - score.missing,
        "unreadable": unreadable,
        "short": short,
        "trained_on": leaked,
    }
    return entry, score


def context(entry: Mapping[str, Any]) -> str:
    """What must stand beside every figure: data, split, views, how many clips, how many unreadable and too short."""
    leaked = f", NOT HONEST: {entry['trained_on']} of these clips were trained on" if entry["trained_on"] else ""
    views = f"{count(entry['clips'], 'clip')} x {count(entry['crops'], 'crop')}"
    short = f", {len(entry['short'])} shorter than the clip" if entry.get("short") else ""
    return (
        f"{entry['dataset']}, split {entry['split']}, {views}, "
        f"{entry['scored']} of {entry['listed']} clips scored, {len(entry['unreadable'])} unreadable{short}{leaked}"
    )


def headline(entry: Mapping[str, Any]) -> str:
    """``top-1 81.07 % (UCF-101, split 1, 10 clips x 3 crops, 3783 of 3783 clips scored, 0 unreadable)``."""
    return f"top-1 {100 * entry['top1']:.2f} % ({context(entry)})"


def describe(run: RunFolder, entry: Mapping[str, Any], scores: ClipScores, folder: Path) -> str:
    """An entry as text: its figures with split and views beside them, and the clips that count as wrong unread."""
    selected = f" ({entry['best_is']})" if "best_is" in entry else ""
    trivial = f" (of {len(entry['per_class'])} classes: no news)" if len(entry["per_class"]) <= 5 else ""
    top5, mean_class = (
        f"top-5 {100 * entry['top5']:.2f} %{trivial}",
        f"mean of classes {100 * entry['mean_class']:.2f} %",
    )
    lines = [
        f"{run.path}, {entry['checkpoint']} epoch{selected}:",
        headline(entry),
        f"{top5}, {mean_class}, same views",
    ]
    errors = [error for error in scores.errors if error]
    lines += [f"counted wrong: {error}" for error in errors[:10]]
    if len(errors) > 10:
        lines.append(f"counted wrong: {len(errors) - 10} more, see clips.csv")
    if entry["short"]:
        names = ", ".join(entry["short"][:3]) + ", ..." * (len(entry["short"]) > 3)
        lines.append(f"shorter than the clip, so that frames come more than once: {names} (see clips.csv)")
    return "\n  ".join([*lines, f"per class and per clip: {folder}"])


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def keep(
    run: RunFolder, lists: ActionLists, scores: ClipScores, entry: dict[str, Any], score: ClassificationScore
) -> Path:
    """Writes ``eval/splitS-CHECKPOINT-CxV/`` and the entry of results.json (replacing that of the same views)."""
    folder = run.path / "eval" / f"split{entry['split']}-{entry['checkpoint']}-{entry['clips']}x{entry['crops']}"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "results.json", entry)
    write_clips(folder / "clips.csv", lists, scores, score)
    save_confusion(score.confusion, lists.classes, folder / "confusion.png", title=headline(entry))

    results = run.results()
    same = ("split", "checkpoint", "clips", "crops")
    others = [old for old in results.get("evaluations", []) if any(old[key] != entry[key] for key in same)]
    run.write_results({**results, "evaluations": [*others, entry]})
    return folder


def write_clips(path: Path, lists: ActionLists, scores: ClipScores, score: ClassificationScore) -> None:
    """One row a clip: true class, predicted class, its probability and that of the true class, or else the error; and
    what is odd about it.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["clip", "class", "predicted", "correct", "p_predicted", "p_class", "error", "note"])
        for row, record in enumerate(lists.test):
            predicted, probabilities = int(score.predicted[row]), scores.probabilities[row]
            guess: list[object] = ["", 0, "", ""]
            if predicted >= 0:
                shares = (f"{probabilities[label]:.6f}" for label in (predicted, record.label))
                guess = [lists.classes[predicted], int(predicted == record.label), *shares]
            about = (record.name, lists.classes[record.label])
            table.writerow([*about, *guess, scores.errors[row], scores.short[row]])
