"""An evaluation of a pretraining: what its representation is like."""

from collections.abc import Mapping
from typing import Any

from specvid.eval.report import figure_text
from specvid.pipelines.reporting.run_part import EvaluationPart, RunPart, facts_of
from specvid.pipelines.reporting.runs import number

_FIGURES = ("twin_top1", "spread", "dimensions", "correlation")


def add_representation(run: RunPart, key: str, entry: Mapping[str, Any]) -> None:
    """Add an evaluation to a run's part of the report.

    Args:
        run: the part.
        key: of the evaluation in it.
        entry: of results.json.
    """
    found = {name: value for name in _FIGURES if (value := number(entry.get(name))) is not None}
    rows = [list(found), [figure_text(name, value) for name, value in found.items()]]
    top1 = f"twins recognised {figure_text('twin_top1', found['twin_top1'])} %" if "twin_top1" in found else "-"
    remarks = []
    if "dimensions" in found and number(entry.get("embedding_dim")) is not None:
        of = f"{entry['embedding_dim']:,} dimensions"
        remarks.append(f"The embedding uses {figure_text('dimensions', found['dimensions'])} of {of} (effective rank).")
    if entry.get("collapsed") is True:
        remarks.append("The representation collapsed: clips hardly differ.")
    title = f"{entry.get('dataset', 'Evaluation')}: {top1}"
    run.evaluations.append(EvaluationPart(key, title, facts_of(entry), rows, remarks))
