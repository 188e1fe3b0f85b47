"""The table over runs: their results.json as rows of text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from specvid.errors import unknown
from specvid.eval.report import NO_SHARES, Figures, group, kinds, repeated, table
from specvid.pipelines.engine.log import silent
from specvid.reading import read_json
from specvid.text import counted

_CONTEXT = ("dataset", "split", "protocol", "checkpoint", "views", "sampling", "input", "rerank",
            "embedding_dim", "scored")  # fmt: skip
_IDLE = {
    "recipe",
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
_NO_FIGURES = {"split", "splits", "clips", "crops", "listed", "scored", "trained_on", "complete", "dimensions_used",
               "embedding_dim"} | _COUNTS  # fmt: skip
_ALWAYS = ("model", "blocks")
_LARGEST = 1e15  # of a figure; not even a NaN is less


def report(
    runs: Sequence[str | Path],
    *,
    metrics: Sequence[str] = (),
    over: Sequence[str] = ("seed",),
    warn: Callable[[str], None] = silent,
) -> list[list[list[str]]]:
    """The tables over runs: one for each set of figures, so that those of different tasks are apart.

    Args:
        runs: Folders of runs, or folders that hold runs.
        metrics: Figures to show; all that the runs have if not given. Scores that have none of them are left out.
        over: Settings to average over: runs that differ in nothing else are one row.
        warn: Called with a sentence about runs that are averaged and do not even differ in these, and about scores
            that are left out.

    Returns:
        The tables, each as rows of text, the heading first.

    Raises:
        ValueError: There is no run or no result yet, or a metric is unknown.
    """
    figures = [figure for path in find_results(runs) for figure in read_figures(path)]
    if not figures:
        raise ValueError("The runs have no scores yet: `specvid eval action|reid --run RUN` makes them.")
    known = list(dict.fromkeys(name for figure in figures for name in figure.values))
    for metric in metrics:
        if metric not in known:
            raise unknown("metric", metric, known)
    for sentence in repeated(figures, over=over):
        warn(sentence)
    if metrics:
        figures = [replace(one, values={m: one.values[m] for m in metrics if m in one.values}) for one in figures]
    shown = [one for one in figures if one.values or not metrics]
    if len(shown) < len(figures):
        warn(f"{counted(len(figures) - len(shown), 'score')} without {', '.join(metrics)} left out")
    return [table(group(alike, over=over), list(alike[0].values), always=_ALWAYS) for alike in kinds(shown)]


def find_results(runs: Sequence[str | Path]) -> list[Path]:
    """The results.json files of runs.

    Args:
        runs: Folders of runs, or folders that hold runs.

    Returns:
        The files, in the order of ``runs``, by name within a folder that holds runs; each once.

    Raises:
        ValueError: None are given, or a folder is not there or has no results.
    """
    if not runs:
        raise ValueError("no RUN is given: name folders of runs, e.g. `specvid report runs`.")
    found: list[Path] = []
    for run in map(Path, runs):
        own = run / "results.json"
        inside = [own] if own.is_file() else sorted(run.glob("*/results.json"))
        if not inside:
            what = "has no results.json, and no folder in it has one" if run.is_dir() else "is not a folder"
            raise ValueError(f"run {str(run)!r} {what}. Name folders of trained runs, e.g. runs/first.")
        found += inside
    once: dict[Path, Path] = {}
    for path in found:
        once.setdefault(path.resolve(), path)  # however it is written
    return list(once.values())


def read_figures(path: Path, only: Callable[[Mapping[str, Any]], bool] | None = None) -> Iterator[Figures]:
    """The evaluations in a results.json.

    Args:
        path: The file.
        only: Says of an entry whether it is wanted; all are if not given.

    Yields:
        Settings, context and figures of each evaluation; of re-ID, of each of its protocols.

    Raises:
        ValueError: The file is not JSON, or what it holds is not as specvid writes it.
    """
    results, what = read_json(path), f"results {str(path)!r}"
    config, entries = results.get("config", {}), results.get("evaluations", [])
    if not isinstance(config, Mapping):
        raise ValueError(f"{what}: config is {str(config)[:60]!r}; it must be an object of settings.")
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError(f"{what}: evaluations are {str(entries)[:60]!r}; they must be a list of objects.")
    try:
        wanted = entries if only is None else [entry for entry in entries if only(entry)]
        yield from _figures({**results, "evaluations": wanted}, path)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{what}: an evaluation in it is not as specvid writes it ({type(error).__name__}: {str(error)[:100]}); "
            "score the run again."
        ) from None


def _figures(results: Mapping[str, Any], path: Path) -> Iterator[Figures]:
    """As `read_figures`, of the content of a file."""
    settings = dict(_flat(results.get("config", {})))
    for entry in results.get("evaluations", []):
        context = {name: entry[name] for name in _CONTEXT if entry.get(name, "") != ""}
        if entry.get("source"):
            context["dataset"] = f"{entry['dataset']} in {entry['source']}"
        if "clips" in entry:
            context["views"] = f"{entry['clips']} x {entry['crops']}"
        if "fused" in entry:
            context["fusion"] = f"{entry['fuse']} of {', '.join(entry['fused'])}"
        if "listed" in entry:
            context["scored"] = f"{entry['scored']} of {entry['listed']}"
        if entry.get("trained_on"):
            context["honest"] = "NO: trained on"
        for part in _scores(entry):
            own = {} if part is entry else {name: part[name] for name in _CONTEXT if part.get(name, "") != ""}
            scored = {**context, **own}
            if "valid_queries" in part:
                scored["scored"] = f"{part['valid_queries']} of {part['queries']} queries"
            ordered = {name: scored[name] for name in (*_CONTEXT, "fusion", "honest") if name in scored}
            values = {name: value for name, value in part.items() if _is_figure(name, value)}
            for name, value in values.items():
                least, most = (-_LARGEST, _LARGEST) if name in NO_SHARES else (0, 1 + 1e-6)
                if not least <= value <= most:
                    rule = "a number" if name in NO_SHARES else "a share, 0 to 1"
                    raise ValueError(
                        f"results {str(path)!r}: {name} is {str(value)[:40]}, and must be {rule}; score the run again."
                    )
            ours = {name: value for name, value in settings.items() if name not in _IDLE and name not in ordered}
            yield Figures(path.resolve().parent.name, ours, ordered, values)


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
