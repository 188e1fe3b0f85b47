"""Learning curves: each figure of the epochs as a chart, with all runs in it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from specvid.pipelines.reporting.charts import Chart, Series
from specvid.pipelines.reporting.runs import RunRecord, number
from specvid.text import counted

_NO_CURVE = {"epoch", "step", "clips", "unreadable", "repeated", "unusual", "seconds", "val_unreadable"}
_SHARES = {"accuracy", "top1", "top5", "mean_class", "map", "mAP", "mINP", "rank1", "rank5", "rank10", "wait_share"}
_TITLES = {
    "loss": "Loss",
    "accuracy": "Accuracy on training clips",
    "top1": "Top-1 accuracy",
    "top5": "Top-5 accuracy",
    "mean_class": "Mean class accuracy",
    "rank1": "Rank-1",
    "rank5": "Rank-5",
    "rank10": "Rank-10",
    "lr": "Learning rate",
    "clips_per_s": "Clips per second",
    "wait_share": "Share of time spent waiting for data",
}
_LAST = ("lr", "clips_per_s", "wait_share")
_TASKS = {"action": "actions", "reid": "re-ID", "pretrain": "pretraining"}


def learning_curves(runs: Sequence[RunRecord]) -> list[Chart]:
    """A chart for each figure that any run has; what the validation part says is dashed, in the chart of its figure.

    Args:
        runs: the runs, a colour each.

    Returns:
        The charts: loss first, rates and speed last. Runs of several tasks share those alone: the loss of one says
        nothing beside that of another.
    """
    curves: dict[tuple[str, str], list[Series]] = {}
    tasks = {run.task for run in runs}
    names = _distinct([run.name for run in runs])
    for i, (run, name) in enumerate(zip(runs, names, strict=True)):
        for lines in (run.lines, run.speed):
            for figure in dict.fromkeys(key for line in lines for key in line if key not in _NO_CURVE):
                is_validation = figure.startswith("val_")
                x, y = _points(lines, figure)
                if any(value is not None for value in y):
                    label = f"{name}, validation" if is_validation else name
                    series = Series(label, x, y, dashed=is_validation, colour=i)
                    key = figure.removeprefix("val_")
                    task = run.task if len(tasks) > 1 and key not in _LAST else ""
                    curves.setdefault((key, task), []).append(series)
    order = sorted(curves, key=lambda key: (_LAST.index(key[0]) + 1 if key[0] in _LAST else 0, key[0] != "loss"))
    return [_chart(figure, task, curves[figure, task]) for figure, task in order]


def not_finite(run: RunRecord) -> list[str]:
    """What of a training is no number: its curve has gaps, or there is none.

    Args:
        run: the run.

    Returns:
        A sentence for each figure.
    """
    sentences = []
    for lines in (run.lines, run.speed):
        for figure in dict.fromkeys(key for line in lines for key in line if key not in _NO_CURVE):
            values = [line.get(figure) for line in lines]
            odd = [i for i, value in enumerate(values) if isinstance(value, float) and not math.isfinite(value)]
            if odd:
                epoch = number(lines[odd[0]].get("epoch"))
                first = f", first in epoch {epoch + 1:g}" if epoch is not None else ""
                which = f"{values[odd[0]]} in {len(odd)} of {counted(len(values), 'epoch')}{first}"
                sentences.append(f"{figure.replace('_', ' ')}: it is {which}, and has no curve there")
    return sentences


def gate_curves(run: RunRecord) -> Chart | None:
    """Where the gates of the blocks stood at the end of each epoch.

    Args:
        run: the run.

    Returns:
        The chart; None where no epoch says so.
    """
    lines = [line for line in run.lines if isinstance(line.get("gates"), Mapping)]
    places = list(dict.fromkeys(str(place) for line in lines for place in line["gates"]))
    series = []
    for place in places:
        x, y = _points([{"epoch": line.get("epoch"), place: line["gates"].get(place)} for line in lines], place)
        series.append(Series(place, x, y))
    return Chart("gates", "Gate over training", "lines", "epoch", "mean gate", tuple(series)) if series else None


def _chart(figure: str, task: str, series: Sequence[Series]) -> Chart:
    name = "".join(letter if letter.isalnum() else "-" for letter in f"{figure} {task}".strip())
    title = f"{_title(figure)} of {_TASKS.get(task, task)}" if task else _title(figure)
    return Chart(f"curve-{name}", title, "lines", "epoch", _title(figure), tuple(series), percent=figure in _SHARES)


def _title(figure: str) -> str:
    return _TITLES.get(figure, figure.replace("_", " "))


def _points(lines: Sequence[Mapping[str, Any]], figure: str) -> tuple[list[float], list[float | None]]:
    """Epochs from 1, and the figure at each of those that have it."""
    pairs = [(number(line.get("epoch")), number(line.get(figure))) for line in lines if figure in line]
    known = [(epoch + 1, value) for epoch, value in pairs if epoch is not None]
    return [epoch for epoch, _ in known], [value for _, value in known]


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of runs; those that come twice are numbered."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    count: dict[str, int] = {}
    distinct = []
    for name in names:
        count[name] = count.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name} ({count[name]})")
    return distinct
