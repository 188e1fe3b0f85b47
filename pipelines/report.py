"""Reads the results.json of runs for `specvid.eval.report`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from specvid.errors import unknown
from specvid.eval.report import Figures, group, table

_CONTEXT = ("dataset", "split", "protocol", "checkpoint", "views", "sampling", "rerank", "scored")
_IDLE = {
    "name",
    "runs",
    "resume",
    "data",
    "workers",
    "device",
    "devices",
    "nodes",
    "tensorboard",
    "wandb",
    "save_every",
}
_COUNTS = {"queries", "valid_queries", "gallery_tracklets", "junk_tracklets", "left_out_queries", "left_out_junk"}
_NO_FIGURES = {"split", "splits", "clips", "crops", "listed", "scored", "trained_on", "whole"} | _COUNTS
_ALWAYS = ("model", "blocks")


def report(
    runs: Sequence[str | Path], *, metrics: Sequence[str] = (), over: Sequence[str] = ("seed",)
) -> list[list[str]]:
    """The table over ``runs`` (folders of runs, or folders that hold runs), as rows of text.

    Raises ValueError where there is no run, no result yet, or an unknown metric.
    """
    figures = [figure for path in find_results(runs) for figure in read_figures(path)]
    if not figures:
        raise ValueError("The runs have no scores yet: `specvid eval action|reid --run RUN` makes them.")
    known = list(dict.fromkeys(name for figure in figures for name in figure.values))
    for metric in metrics:
        if metric not in known:
            raise unknown("metric", metric, known)
    return table(group(figures, over=over), list(metrics) or known, always=_ALWAYS)


def find_results(runs: Sequence[str | Path]) -> list[Path]:
    """The results.json files of ``runs``, sorted by name within a folder that holds runs."""
    if not runs:
        raise ValueError("no RUN is given: name folders of runs, e.g. `specvid report runs`.")
    found: list[Path] = []
    for run in map(Path, runs):
        own = run / "results.json"
        inside = [own] if own.is_file() else sorted(run.glob("*/results.json"))
        if not inside:
            what = "has no results.json, and no folder in it has one" if run.is_dir() else "is not a folder"
            raise ValueError(f"run {str(run)!r} {what}. Name folders of trained runs, e.g. runs/first.")
        found += [path for path in inside if path not in found]
    return found


def read_figures(path: Path) -> Iterator[Figures]:
    """The evaluations in a results.json."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"results {str(path)!r} is not JSON: {error}.") from None
    settings = dict(_flat(results.get("config", {})))
    for entry in results.get("evaluations", []):
        context = {name: entry[name] for name in _CONTEXT if entry.get(name, "") != ""}
        if entry.get("source"):
            context["dataset"] = f"{entry['dataset']} in {entry['source']}"
        if "clips" in entry:
            context["views"] = f"{entry['clips']} x {entry['crops']}"
        if "listed" in entry:
            context["scored"] = f"{entry['scored']} of {entry['listed']}"
        if entry.get("trained_on"):
            context["honest"] = "NO: trained on"
        for part in _scores(entry):
            scored = {**context, **{name: part[name] for name in _CONTEXT if part.get(name, "") != ""}}
            if "valid_queries" in part:
                scored["scored"] = f"{part['valid_queries']} of {part['queries']} queries"
            ordered = {name: scored[name] for name in (*_CONTEXT, "honest") if name in scored}
            values = {name: value for name, value in part.items() if _is_figure(name, value)}
            ours = {name: value for name, value in settings.items() if name not in _IDLE and name not in ordered}
            yield Figures(results.get("run", path.parent.name), ours, ordered, values)


def _scores(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The parts of an evaluation that are rows of their own: each protocol of a re-ID score, else the whole."""
    return list(entry["protocols"].values()) if "protocols" in entry else [entry]


def _is_figure(name: str, value: Any) -> bool:
    return name not in _NO_FIGURES and isinstance(value, int | float) and not isinstance(value, bool)


def _flat(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield name, value
