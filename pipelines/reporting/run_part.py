"""What a report says of one run, apart from what its task adds."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from specvid.pipelines.reporting.charts import Chart
from specvid.pipelines.reporting.data_part import DataPart
from specvid.pipelines.reporting.runs import RunRecord, flat, number
from specvid.text import printable_path

RERANKED = re.compile(r"k1=(\d+), k2=(\d+), lambda=([\d.]+)\)")
"""How results.json tells the settings of a re-ranking."""

_MANY = 24  # classes; a histogram has fewer bars
_EVALUATION = ("dataset", "split", "protocol", "checkpoint", "sampling", "clips", "crops", "input", "rerank",
               "best_is", "fuse")  # fmt: skip


@dataclass(frozen=True)
class EvaluationPart:
    """One evaluation.

    Attributes:
        key: of its parts in the page.
        title: what was scored.
        facts: what stands beside the figures: name and value.
        rows: its figures as a table, the heading first.
        remarks: what must be known of it, in sentences.
        charts: to draw, keys in the run's charts.
        classes: rows of the table over classes, the heading first; empty of re-ID.
        confusion: key of its confusion matrix; empty without.
        strips: key of its ranked strips; empty without.
    """

    key: str
    title: str
    facts: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[str]]
    remarks: Sequence[str] = ()
    charts: Sequence[str] = ()
    classes: Sequence[Sequence[str]] = ()
    confusion: str = ""
    strips: str = ""


@dataclass
class RunPart:
    """What a report says of a run.

    Attributes:
        key: of its parts in the page.
        record: what its folder holds.
        data: its data set; None where that cannot be read.
        evaluations: what was scored.
        blocks: a line for each inserted block: place and what is known of it.
        block_charts: keys of the charts about blocks.
        affinities: keys of the affinities in the page.
        charts: all its charts.
        islands: what the page's scripts need, by kind and key.
    """

    key: str
    record: RunRecord
    data: DataPart | None = None
    evaluations: list[EvaluationPart] = field(default_factory=list)
    blocks: list[Sequence[str]] = field(default_factory=list)
    block_charts: list[str] = field(default_factory=list)
    affinities: list[str] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    islands: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.record.name

    @property
    def missing(self) -> list[str]:
        """What the report has to do without, and why."""
        return self.record.missing

    def title_of(self, chart: str) -> str:
        """The title of one of its charts.

        Args:
            chart: its key.
        """
        return next((own.title for own in self.charts if own.key == chart), chart)

    def is_wide(self, chart: str) -> bool:
        """Whether one of its charts takes the width of the page: bars of many classes.

        Args:
            chart: its key.
        """
        return any(len(series.x) > _MANY for own in self.charts if own.key == chart and own.kind == "bars"
                   for series in own.series)  # fmt: skip

    @property
    def settings(self) -> list[tuple[str, str]]:
        """All settings by their path."""
        return list(flat({k: v for k, v in self.record.config.items() if k not in ("specvid", "task")}))

    @property
    def summary(self) -> list[tuple[str, str]]:
        """The settings that a reader asks for first."""
        wanted = ("net.model", "net.blocks", "net.conv", "net.weights", "clips.dataset", "clips.split", "train.epochs",
                  "train.batch_size", "train.optimizer", "train.lr", "train.seed", "train.precision")  # fmt: skip
        own = dict(self.settings)
        return [(name, own[name]) for name in wanted if own.get(name, "-") != "-"]

    @property
    def training(self) -> Mapping[str, Any]:
        """What results.json says of the training."""
        training = self.record.results.get("training")
        return training if isinstance(training, Mapping) else {}

    @property
    def environment(self) -> list[tuple[str, str]]:
        """On what it was trained."""
        found = self.training.get("environment")
        found = found if isinstance(found, Mapping) else {"specvid": self.record.config.get("specvid", "")}
        rows = [(str(name), printable_path(str(value))) for name, value in found.items() if value]
        seconds, parameters = number(self.training.get("seconds")), number(self.training.get("parameters"))
        rows += [("training took", f"{seconds:,.0f} s")] if seconds is not None else []
        rows += [("parameters", f"{parameters:,.0f}")] if parameters is not None else []
        best = self.training.get("best_is")
        return rows + ([("best/ is", printable_path(str(best)))] if best else [])

    @property
    def commands(self) -> list[str]:
        """The commands that train and score it again."""
        path, task = shlex.quote(printable_path(str(self.record.path))), self.record.task
        if task not in ("action", "reid"):
            return []
        name = re.sub(r"[^\w.+=@-]+", "-", printable_path(self.name), flags=re.ASCII).strip("-") + "-again"
        found = []
        if (self.record.path / "config.json").is_file():
            config = shlex.quote(printable_path(str(self.record.path / "config.json")))
            found.append(f"specvid train {task} --config {config} --name {name}")
        for entry in self.record.evaluations:
            words = [f"specvid eval {task} --run {path}"]
            words += [f"--split {entry['split']}"] if isinstance(entry.get("split"), int) else []
            words += ["--checkpoint best"] if entry.get("checkpoint") == "best" else []
            if task == "action":
                words += [f"--{name} {entry[name]}" for name in ("clips", "crops") if isinstance(entry.get(name), int)]
            elif isinstance(entry.get("protocols"), Mapping) and len(entry["protocols"]) > 1:
                words.append("--all-protocols")
            words += self._rerank(entry)
            words += [f"--data {shlex.quote(printable_path(str(entry['source'])))}"] if entry.get("source") else []
            if "fused" not in entry and not self._is_cut_down(entry):
                found.append(" ".join(words))
        return list(dict.fromkeys(found))

    def _rerank(self, entry: Mapping[str, Any]) -> list[str]:
        """The flags of an evaluation's re-ranking."""
        how = RERANKED.search(str(entry.get("rerank") or ""))
        return [f"--rerank --k1 {how[1]} --k2 {how[2]} --lambda-value {how[3]}"] if how else []

    def _is_cut_down(self, entry: Mapping[str, Any]) -> bool:
        """Whether it is of a training with --limit, whose part of the clips no evaluation takes."""
        clips = self.record.config.get("clips")
        limit = number(clips.get("limit")) if isinstance(clips, Mapping) else None
        if not limit:
            return False
        listed = number(entry.get("listed"))
        return listed <= limit if listed is not None else not entry.get("elsewhere")

    @property
    def epochs(self) -> list[list[str]]:
        """The figures of each epoch as a table, the heading first; empty without any."""
        lines = self.record.lines
        names = [name for name in dict.fromkeys(key for line in lines for key in line)
                 if any(number(line.get(name)) is not None for line in lines) and name != "epoch"]  # fmt: skip
        cells = [[_cell(line.get(name)) for name in names] for line in lines]
        epochs = [number(line.get("epoch")) for line in lines]
        heads = ["-" if epoch is None else f"{epoch + 1:.0f}" for epoch in epochs]
        return [["epoch", *names], *([head, *row] for head, row in zip(heads, cells, strict=True))] if lines else []


def evaluation_name(entry: Mapping[str, Any]) -> str:
    """What sentences call an evaluation.

    Args:
        entry: of results.json.

    Returns:
        Data set, split and checkpoint.
    """
    parts = [str(entry.get("dataset") or "")[:60], f"split {entry['split']}" if entry.get("split") is not None else ""]
    parts += ["checkpoint best"] if entry.get("checkpoint") == "best" else []
    return f"evaluation on {', '.join(part for part in parts if part) or 'unnamed data'}"


def facts_of(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What must stand beside the figures of an evaluation.

    Args:
        entry: of results.json.

    Returns:
        Names and values.
    """
    facts = [(name, printable_path(str(entry[name]))) for name in _EVALUATION if entry.get(name) not in (None, "")]
    if "listed" in entry:
        facts.append(("scored", f"{entry.get('scored')} of {entry['listed']}"))
    if entry.get("trained_on"):
        facts.append(("NOT HONEST", f"{entry['trained_on']} of what is tested was trained on"))
    return facts


def percent(value: Any) -> str:
    """A share as text.

    Args:
        value: of results.json.

    Returns:
        E.g. ``81.07``; ``-`` where there is none.
    """
    share = number(value)
    return "-" if share is None else f"{100 * share:.2f}"


def _cell(value: Any) -> str:
    found = number(value)
    if found is None:
        return "-"
    return f"{found:.0f}" if isinstance(value, int) else f"{found:.4g}"
