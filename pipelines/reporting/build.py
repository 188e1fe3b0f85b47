"""From folders of runs to a report: what is there is shown, what is missing is named."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from specvid.eval.report import Figures
from specvid.pipelines.engine.log import silent
from specvid.pipelines.reporting.actions import add_actions
from specvid.pipelines.reporting.blocks import add_blocks
from specvid.pipelines.reporting.curves import gate_curves, learning_curves, not_finite
from specvid.pipelines.reporting.data_part import read_data
from specvid.pipelines.reporting.page import Report
from specvid.pipelines.reporting.pictures import Pictures
from specvid.pipelines.reporting.reid import add_reid
from specvid.pipelines.reporting.representation import add_representation
from specvid.pipelines.reporting.run_part import RunPart, evaluation_name
from specvid.pipelines.reporting.runs import RunRecord, find_runs, read_run
from specvid.pipelines.reporting.table import read_figures

_SAME = ("dataset", "source", "split", "checkpoint", "clips", "crops", "sampling", "rerank")
"""What makes the results.json of a folder in ``eval/`` that of an entry in the run's results.json."""

_PICTURES, _PICTURE_SECONDS = 9_000_000, 40.0
"""Bytes and seconds of all small pictures of a report together."""

_AFFINITIES = 3_000_000
"""Bytes of all affinities of a report together."""


def make_report(
    runs: Sequence[str | Path],
    *,
    data: str = "",
    seconds: float = _PICTURE_SECONDS,
    echo: Callable[[str], None] = silent,
) -> Report:
    """Collect what a report over runs shows.

    Args:
        runs: folders of runs, or folders that hold runs.
        data: the folder of their data set, where it has moved since.
        seconds: what small pictures may take, all together.
        echo: gets a line for each run.

    Returns:
        The report.

    Raises:
        ValueError: there is no run.
    """
    records = [read_run(path) for path in find_runs(runs)]
    evaluations = max(1, sum(len(record.evaluations) for record in records))
    parts = []
    for i, record in enumerate(records):
        echo(f"reading {record.path} ({i + 1} of {len(records)})")
        part = RunPart(f"run{i}", record)
        part.data = record.attempt("data", read_data, record, data=data)
        for number, entry in enumerate(record.evaluations):
            budget = {"size": _PICTURES // evaluations, "seconds": seconds / evaluations}
            record.attempt(f"evaluation {number + 1}", _add_evaluation, part, f"eval{number}", entry, budget)
        for sentence in record.attempt("the learning curves", not_finite, record) or []:
            record.lack(sentence)
        if gates := record.attempt("gates", gate_curves, record):
            part.charts.append(gates)
            part.block_charts.append(gates.key)
        record.attempt("what the blocks do", add_blocks, part, size=_AFFINITIES // len(records))
        parts.append(part)
    figures = [figure for record in records for figure in record.attempt("scores", _figures, record) or []]
    return Report(parts, learning_curves(records), figures)


def _add_evaluation(run: RunPart, key: str, entry: Mapping[str, Any], budget: Mapping[str, Any]) -> None:
    """Add an evaluation, with a budget for its pictures."""
    own = {name: entry.get(name, "") for name in _SAME}
    folders = [folder for folder, found in run.record.evaluation_folders()
               if {name: found.get(name, "") for name in _SAME} == own]  # fmt: skip
    folder = folders[0] if folders else None
    if run.record.task == "pretrain":
        add_representation(run, key, entry)
        return
    with Pictures(**budget) as pictures:
        if run.record.task == "action" or "fused" in entry:
            add_actions(run, key, entry, folder, run.data.clips if run.data else {}, pictures)
        else:
            tracklets = run.data.tracklets if run.data and not _is_elsewhere(run, entry) else {}
            add_reid(run, key, entry, folder, tracklets, pictures)
    if pictures.left_out:
        run.missing.append(
            f"{evaluation_name(entry)}: {pictures.left_out} pictures were left out, to keep the page small and quick"
        )
    if pictures.errors:
        run.missing.append(
            f"{evaluation_name(entry)}: {len(pictures.errors)} pictures cannot be read, e.g. {pictures.errors[0]}"
        )


def _is_elsewhere(run: RunPart, entry: Mapping[str, Any]) -> bool:
    """Whether an evaluation is of another folder than that of the training; of another part of it, it is not."""
    clips = run.record.config.get("clips")
    trained_on = clips.get("data") if isinstance(clips, Mapping) else None
    return bool(entry.get("elsewhere")) and entry.get("source") != str(Path(str(trained_on)).resolve())


def _figures(record: RunRecord) -> list[Figures]:
    path = record.path / "results.json"
    return list(read_figures(path)) if record.results else []
