"""The table of an ablation: figures, paired differences to the bare network, gates, parameters and cost."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from specvid.files import write_text
from specvid.models.about import multiply_adds
from specvid.models.pretrained import build_described
from specvid.pipelines.ablate import cells as of_seeds
from specvid.pipelines.ablate.figures import METRICS
from specvid.pipelines.ablate.grid import BLOCK_SETTINGS, AblationConfig, Arm
from specvid.pipelines.ablate.job import is_finished
from specvid.pipelines.ablate.scored import Scored, read_scored, require_same_test, view_of
from specvid.pipelines.ablate.statistics import CONFIDENCE, Difference, pooled, what_seeds_show
from specvid.pipelines.engine.block_use import UNUSED
from specvid.pipelines.engine.log import status
from specvid.pipelines.engine.run import META, RunFolder
from specvid.pipelines.reporting.runs import number
from specvid.text import counted, csv_cell, to_markdown


@dataclass(frozen=True)
class Row:
    """One arm and what its finished runs scored.

    Attributes:
        arm: the arm.
        values: by seed, each figure as a share.
        blocks: by seed, the use of each block (`specvid.pipelines.engine.block_use.BlockUse` as a dict).
        parameters: of the network.
        gmacs: 10^9 multiply-adds of a clip.
        context: what was scored: data set, split, protocol, checkpoint, sampling, frames and their size.
        recipe: that the runs started from, also where that was the model's choice.
        rates: of blocks and gates, as factors on that of the rest.
    """

    arm: Arm
    values: Mapping[int, Mapping[str, float]]
    blocks: Mapping[int, Sequence[Mapping[str, Any]]]
    parameters: int
    gmacs: float
    context: Mapping[str, Any]
    recipe: str
    rates: tuple[float, float]

    @property
    def test(self) -> str:
        """What its figures are of, in words."""
        return ", ".join(f"{name} {value}" for name, value in self.context.items())

    def difference(self, bare: "Row", metric: str) -> Difference | None:
        """The difference to the bare network, paired over the seeds that both have.

        Args:
            bare: its row.
            metric: name of the figure.

        Returns:
            The difference; None without a common seed.
        """
        seeds = [seed for seed in self.values if seed in bare.values]
        pairs = [self.values[seed][metric] - bare.values[seed][metric] for seed in seeds]
        return Difference.of(pairs) if pairs else None


def read_rows(config: AblationConfig, arms: Sequence[Arm]) -> list[Row]:
    """Read what is finished.

    Args:
        config: the grid.
        arms: its rows.

    Returns:
        A row for each arm, without values where no run of it is finished: a table says what it lacks.

    Raises:
        ValueError: the protocol is unknown, a run has other settings than the grid, no score of what these settings
            test, or one of other test clips than the run that it is compared with.
    """
    rows, tests = [], dict[str, Scored]()
    for arm in arms:
        values: dict[int, Mapping[str, float]] = {}
        blocks: dict[int, Sequence[Mapping[str, Any]]] = {}
        context: Mapping[str, Any] = {}
        parameters, gmacs, recipe, rates = 0, 0.0, str(arm.resolved.get("recipe") or ""), (1.0, 1.0)
        for seed in config.seeds:
            if is_finished(config, arm, seed):
                run = RunFolder(Path(config.runs) / arm.run_name(seed))
                scored = read_scored(run, arm, config.task, config.protocol)
                require_same_test(tests.setdefault(view_of(arm), scored), scored)
                values[seed], context = scored.values, scored.context
                blocks[seed], parameters = _training(run)
                gmacs = gmacs or _gmacs(run)
                recipe, rates = _started_from(run)
        rows.append(Row(arm, values, blocks, parameters, gmacs, context, recipe, rates))
    return rows


def make_table(config: AblationConfig, rows: Sequence[Row]) -> list[list[str]]:
    """The table as rows of text, the heading first.

    Args:
        config: the grid.
        rows: from `read_rows`.

    Returns:
        Blocks, settings, seeds, figures in % (mean ± sample deviation), differences to the bare network in points with
        their 95 % interval, what the first figure says, gates, parameters and cost.

    Raises:
        ValueError: a figure is unknown.
    """
    metrics = _metrics(config, rows)
    percent = f"{100 * CONFIDENCE:.0f} %"
    heading = ["blocks", "settings", "seeds", *metrics, *(f"Δ {metric} [{percent}]" for metric in metrics), "verdict"]
    table = [[*heading, "gate", "share %", "parameters", "GMACs"]]
    for row in rows:
        bare = next((other for other in rows if other.arm.is_baseline_of(row.arm)), None)
        differences = [row.difference(bare, metric) if bare else None for metric in metrics]
        settings = " ".join(([row.recipe] if row.recipe else []) + [f"{n}={v}" for n, v in row.arm.variant])
        cells = [row.arm.blocks or "-", settings or "-", str(len(row.values))]
        shares = [[values[metric] for values in row.values.values()] for metric in metrics]
        cells += [of_seeds.spread(own) if own else "-" for own in shares]
        cells += [of_seeds.points(difference) for difference in differences]
        cost = [f"{row.parameters:,}", f"{row.gmacs:.3f}"] if row.values else ["-", "-"]
        cells += [_verdict(row, differences[0]), *_use(row), *cost]
        table.append(cells)
    return table


def describe(config: AblationConfig, rows: Sequence[Row]) -> str:
    """The table as Markdown, with what was scored and what the seeds can show.

    Args:
        config: the grid.
        rows: from `read_rows`.

    Returns:
        Markdown.
    """
    lines = [*_about_tests(rows), "", to_markdown(make_table(config, rows)), "", *_about_missing(config, rows)]
    metric = _metrics(config, rows)[0]
    bare = [row for row in rows if not row.arm.blocks]
    differences = []
    for row in rows:
        baseline = next((other for other in bare if other.arm.is_baseline_of(row.arm)), None)
        differences.append(row.difference(baseline, metric) if baseline else None)
    if deviation := pooled(differences):
        lines.append(what_seeds_show(metric, deviation))
    lines += _about_rates(rows)
    lines.append(
        f"Differences are to the bare network of the same seeds, with Student's {100 * CONFIDENCE:.0f} % interval; "
        f"share: RMS of what a block adds over RMS of its input, below {100 * UNUSED:g} % a block counts as unused."
    )
    return "\n".join(lines)


def _about_tests(rows: Sequence[Row]) -> list[str]:
    """What was scored; where settings of the rows make it differ, of which rows."""
    names: dict[str, list[str]] = {}
    for row in rows:
        if not row.values:
            continue
        names.setdefault(row.test, []).append(row.arm.name)
    if len(names) == 1:
        return [f"Scored: {context}." for context in names]
    return [f"Scored of {', '.join(own)}: {context}.  " for context, own in names.items()]  # two spaces: a new line


def _about_missing(config: AblationConfig, rows: Sequence[Row]) -> list[str]:
    """A sentence on the trainings that are not finished; an empty line ends its paragraph."""
    total = len(rows) * len(config.seeds)
    missing = total - sum(len(row.values) for row in rows)
    if not missing:
        return []
    number, which = ("is", "it") if missing == 1 else ("are", "them")
    return [
        f"{missing} of {counted(total, 'training')} {number} missing: the table is partial. The same command without "
        f"--table-only trains {which}.",
        "",
    ]


def _about_rates(rows: Sequence[Row]) -> list[str]:
    """A sentence on the rates of blocks, where the settings of their rows do not say them and they are not plain."""
    for row in rows:
        if row.arm.blocks and row.rates != (1, 1) and not {name for name, _ in row.arm.variant} & BLOCK_SETTINGS:
            block, gate = row.rates
            return [f"If a row gives no rates, blocks learn {block:g} times, gates {gate:g} times as fast as the rest."]
    return []


def write_tables(config: AblationConfig, rows: Sequence[Row]) -> list[Path]:
    """Write ``ablation.md`` and ``ablation.csv`` (every run with its figures and gates) into the folder of the runs.

    Args:
        config: the grid.
        rows: from `read_rows`.

    Returns:
        The files; none where those that stand there have runs of rows that this grid has not, which would be lost.
    """
    arms = [row.arm for row in rows if row.values]
    arms += [replace(arm, name=name) for arm in arms for name in arm.also]  # an older version had them as rows
    names = {arm.run_name(seed) for arm in arms for seed in config.seeds}
    if lacking := [name for name in _tabulated(Path(config.runs)) if name not in names]:
        status(
            f"not written: {config.runs}/ablation.md and .csv have {counted(len(lacking), 'run')} that this grid has "
            f"not ({', '.join(lacking[:3])}{', ...' if len(lacking) > 3 else ''}). Give all its rows and seeds, or "
            "remove the files."
        )
        return []
    metrics, text = _metrics(config, rows), io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    what, use = ["run", "blocks", "recipe", "settings", "seed"], ["gates", "shares", "parameters", "gmacs"]
    table.writerow([*what, *metrics, *use, "scored"])
    for row in rows:
        for seed, values in row.values.items():
            uses = row.blocks[seed]
            gates = " ".join(f"{use['gate_mean']:+.5f}" for use in uses if use["gate_mean"] is not None)
            shares = " ".join(f"{use['share']:.5f}" for use in uses if use["share"] is not None)
            settings = " ".join(f"{name}={value}" for name, value in row.arm.variant)
            about = [row.arm.run_name(seed), row.arm.blocks, row.recipe, settings, seed]
            figures = [f"{values[metric]:.6f}" for metric in metrics]
            cost = [row.parameters, f"{row.gmacs:.4f}"]
            table.writerow([*map(csv_cell, about), *figures, gates, shares, *cost, csv_cell(row.test)])
    files = [Path(config.runs) / "ablation.csv", Path(config.runs) / "ablation.md"]
    for file, content in zip(files, (text.getvalue(), describe(config, rows) + "\n"), strict=True):
        write_text(file, content)
    return files


def _tabulated(runs: Path) -> list[str]:
    """Names of the runs in the table that stands there."""
    try:
        with (runs / "ablation.csv").open(newline="", encoding="utf-8") as file:
            return [name for row in csv.DictReader(file) if (name := row.get("run"))]
    except (OSError, ValueError, csv.Error):  # none, or not one of ours
        return []


def _started_from(run: RunFolder) -> tuple[str, tuple[float, float]]:
    """The recipe of a run, and the factors on the rates of blocks and gates."""
    config = run.config()
    train = config.get("train", {})
    block = number(train.get("block_lr")) or 1.0
    return str(config.get("recipe") or ""), (block, number(train.get("gate_lr")) or block)


def _training(run: RunFolder) -> tuple[Sequence[Mapping[str, Any]], int]:
    """The use of a run's blocks, and the parameters of its network."""
    training = run.results().get("training")
    about = training if isinstance(training, Mapping) else {}
    blocks, parameters = about.get("blocks", []), about.get("parameters")
    known = isinstance(blocks, list) and all(isinstance(use, Mapping) for use in blocks)
    shares = [use.get(name) for use in blocks for name in ("gate_mean", "share")] if known else ["none"]
    if not isinstance(parameters, int) or any(share is not None and number(share) is None for share in shares):
        raise ValueError(
            f"results {str(run.path / 'results.json')!r}: training is {str(training)[:60]!r}; it must have parameters, "
            "a whole number, and of each of its blocks gate_mean and share, numbers. Train the run again."
        )
    return [{"gate_mean": None, "share": None, **use} for use in blocks], parameters


def _metrics(config: AblationConfig, rows: Sequence[Row]) -> Sequence[str]:
    metrics = config.metrics or METRICS[config.task]
    for metric in metrics:
        for row in rows:
            for seed, values in row.values.items():
                if metric not in values:
                    raise ValueError(
                        f"run {row.arm.run_name(seed)!r} has no figure {metric!r} in its results.json, but "
                        f"{', '.join(values)}: choose --metrics of these, or score it again."
                    )
    return metrics


def _gmacs(run: RunFolder) -> float:
    """10^9 multiply-adds of a clip."""
    with torch.device("meta"):
        model = build_described(run.meta("last"), run.checkpoint("last") / META)
    return multiply_adds(model) / 1e9


def _verdict(row: Row, difference: Difference | None) -> str:
    """The verdict of the interval of the first figure; none for blocks that no run used."""
    if difference is None:
        return "-"
    shares = [use["share"] for uses in row.blocks.values() for use in uses if use["share"] is not None]
    return "unused" if shares and max(shares) < UNUSED else difference.verdict


def _use(row: Row) -> tuple[str, str]:
    """Where the gates stand, and what the blocks add: the range over seeds and blocks."""
    uses = [use for uses in row.blocks.values() for use in uses]
    found = ([use[name] for use in uses if use[name] is not None] for name in ("gate_mean", "share"))
    return of_seeds.use(*found)
