"""What the folder of a run holds, read as somebody else's: nothing is unpickled, nothing outside the folder is opened.

Whatever is missing or does not fit is left out of the report, and named in `RunRecord.missing`.
"""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from specvid.pipelines.engine.run import METRICS, SPEED, RunFolder
from specvid.reading import read_json
from specvid.text import one_line, printable_path

T = TypeVar("T")
_LARGEST_TABLE = 256 * 2**20  # bytes of a CSV file
_LONGEST = 600  # letters of a reason
_DAMAGE = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, ZeroDivisionError, OSError, RuntimeError
)  # fmt: skip
"""What somebody else's file can lead to; nothing of it ends a report."""


@dataclass
class RunRecord:
    """A run as it is reported.

    Attributes:
        path: its folder.
        config: of config.json, or of results.json where there is none.
        results: of results.json.
        lines: the epochs, of metrics.jsonl.
        speed: the epochs, of speed.jsonl.
        missing: what the report has to do without, and why, in sentences.
    """

    path: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)
    lines: list[Mapping[str, Any]] = field(default_factory=list)
    speed: list[Mapping[str, Any]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.path.resolve().name

    @property
    def task(self) -> str:
        """``action``, ``reid``, or what else the files say."""
        return str(self.config.get("task") or self.results.get("task") or "")

    @property
    def evaluations(self) -> list[Mapping[str, Any]]:
        """The entries of results.json."""
        entries = self.results.get("evaluations", [])
        return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []

    def attempt(self, what: str, function: Callable[..., T], *arguments: Any, **options: Any) -> T | None:
        """Call a function; where it fails, note what is missing.

        Args:
            what: begins the sentence, e.g. ``"the learning curves"``.
            function: reads or computes a part of the report.
            *arguments: its arguments.
            **options: its options.

        Returns:
            What it returns; None where it fails.
        """
        try:
            return function(*arguments, **options)
        except _DAMAGE as error:
            cause = " ".join(str(error).split()) or type(error).__name__
            cause = cause if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {cause}"
            cause = one_line(printable_path(cause))
            self.lack(f"{what}: {cause if len(cause) <= _LONGEST else f'{cause[: _LONGEST - 4]} ...'}")
            return None

    def lack(self, sentence: str) -> None:
        """Note what is missing, once: several parts may ask for the same.

        Args:
            sentence: what, and why.
        """
        if sentence not in self.missing:
            self.missing.append(sentence)

    def evaluation_folders(self) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        """The folders in ``eval/``, each with its results.json. Links out of the run are not followed."""
        root = self.path.resolve()
        for file in sorted(self.path.glob("eval/*/results.json")):
            if not file.resolve().is_relative_to(root):
                self.lack(f"{file.parent.name}: it is a link to outside of the run, and is not read")
                continue
            entry = self.attempt(f"evaluation {file.parent.name}", read_json, file)
            if entry is not None:
                yield file.parent, entry


def find_runs(runs: Sequence[str | Path]) -> list[Path]:
    """The folders of runs, evaluated or not.

    Args:
        runs: folders of runs, or folders that hold runs.

    Returns:
        The folders, in the order of ``runs``, by name within a folder that holds runs; each once.

    Raises:
        ValueError: none are given, or one is not there or holds no run.
    """
    if not runs:
        raise ValueError("no RUN is given: name folders of runs, e.g. `specvid report runs --html report.html`.")
    found: list[Path] = []
    for run in map(Path, runs):
        inside = [run] if _is_run(run) else sorted(path for path in run.glob("*") if _is_run(path))
        if not inside:
            what = "holds no config.json and no results.json, nor does a folder in it"
            what = what if run.is_dir() else "is not a folder"
            raise ValueError(f"run {str(run)!r} {what}. Name folders of trained runs, e.g. runs/first.")
        found += inside
    once: dict[Path, Path] = {}
    for path in found:
        once.setdefault(path.resolve(), path)  # however it is written
    return list(once.values())


def read_run(path: Path) -> RunRecord:
    """Read a run.

    Args:
        path: its folder.

    Returns:
        The run, with what is missing.
    """
    run, folder = RunRecord(path), RunFolder(path)
    if run.attempt("results.json", require_inside, path / "results.json", path) is not None:
        run.results = run.attempt("results.json", folder.results) or {}
    if folder.started:
        if run.attempt("config.json", require_inside, path / "config.json", path) is None:
            run.results = {}  # nothing then says which task it is, so that no part of the report opens the file
            return run
        run.config = run.attempt("config.json", folder.config) or {}
    if not run.config and isinstance(run.results.get("config"), Mapping):
        run.config = {"task": run.results.get("task", ""), **run.results["config"]}
    for name, lines in ((METRICS, run.lines), (SPEED, run.speed)):
        if (path / name).is_file():
            inside = run.attempt(name, require_inside, path / name, path) is not None
            read = (run.attempt(name, folder.lines, name) or []) if inside else []
            lines += [line for line in read if isinstance(line, Mapping)]
        elif name == METRICS:
            run.missing.append("learning curves: there is no metrics.jsonl")
    if not run.config:
        run.missing.append("configuration: there is no config.json")
    if not run.evaluations:
        run.missing.append("scores: nothing was evaluated yet (`specvid eval action|reid --run RUN` does it)")
    return run


def require_inside(path: Path, folder: Path) -> Path:
    """Check that a file lies in a folder itself, not behind a link in it or by a name that leads out of it.

    Args:
        path: the file.
        folder: the folder.

    Returns:
        The file.

    Raises:
        ValueError: it lies elsewhere.
    """
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{path.name} of {str(folder)!r} is a link to outside of it, and is not read")
    return path


def read_table(folder: Path, name: str) -> list[dict[str, str]]:
    """Read a CSV file that an evaluation has written.

    Args:
        folder: of the evaluation.
        name: of the file in it.

    Returns:
        Its rows by their columns; the apostrophe that keeps spreadsheets from computing a name is taken away.

    Raises:
        ValueError: it is missing, too large, no CSV or outside of the folder.
    """
    path = require_inside(folder / name, folder)
    if not path.is_file():
        raise ValueError(f"{path.name} is not there")
    if path.stat().st_size > _LARGEST_TABLE:
        raise ValueError(f"{path.name} has {path.stat().st_size / 2**20:,.0f} MiB, more than a report reads")
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            return [{str(key): _plain(value) for key, value in row.items()} for row in csv.DictReader(file)]
    except csv.Error as error:
        raise ValueError(f"{path.name} is no CSV file: {error}") from None


def number(value: Any) -> float | None:
    """A number that somebody else's file holds.

    Args:
        value: anything.

    Returns:
        It as a finite float; None where it is no number.
    """
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def flat(config: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, str]]:
    """All settings by their path, as text.

    Args:
        config: settings, perhaps with settings in them.
        start: of each path.

    Yields:
        Path and value.
    """
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{start}{name}.")
        else:
            yield f"{start}{name}", "-" if value in (None, "", []) else printable_path(str(value))[:500]


def _is_run(path: Path) -> bool:
    return (path / "config.json").is_file() or (path / "results.json").is_file()


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@", "\t", "\r", "\n") else text
