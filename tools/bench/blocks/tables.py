"""What `specvid bench blocks` prints: a table for each C and B, a line a variant, a column a size N; rows as CSV."""

import csv
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TypeVar, cast

from specvid.files import replacing_file
from specvid.models.blocks import create_block
from specvid.models.blocks.affinities.symmetric import SymmetricAffinity
from specvid.pipelines.engine.log import silent
from specvid.text import to_markdown, to_text
from specvid.tools.bench.blocks.every import EveryRow, every_table
from specvid.tools.bench.blocks.memory import BlockMemory
from specvid.tools.bench.blocks.times import BlockTime
from specvid.tools.bench.blocks.variants import FORWARD_ONLY
from specvid.tools.bench.gpu import device_line

Row = TypeVar("Row", BlockTime, BlockMemory)
Table = list[list[str]]
"""Rows of text, the heading first."""

_SLOPE_FROM = 784
"""N from which up a slope counts: below, what a call costs at all hides it."""


def report_times(
    rows: Iterable[BlockTime], *, csv: str = "", markdown: bool = False, status: Callable[[str], None] = silent
) -> str:
    """Print times of blocks as they are measured, and then as tables.

    Args:
        rows: from ``bench_blocks``.
        csv: file for all measurements, written as they come; none if empty.
        markdown: tables in Markdown.
        status: called with a line for each measurement.

    Returns:
        The tables.
    """
    print_table = to_markdown if markdown else to_text

    def figures(row: BlockTime) -> str:
        trained = "" if math.isnan(row.train_ms) else f", {row.train_ms:.3g} ms with backward"
        return row.skipped or f"{row.forward_ms:.3g} ms forward{trained}"

    measured = _measure(rows, figures, csv=csv, status=status)
    first, tables = measured[0], time_tables(measured)
    parts = [device_line(first.device, first.precision, graphs=first.graphs)]
    parts += [f"\n{title}: ms (times the floor)\n\n{print_table(table)}" for title, table in tables]
    if any("slope" in heading for _, (heading, *_) in tables):
        parts.append(f"\nslope: log-log over N from {_SLOPE_FROM} up, 1 is linear, 2 quadratic")
    if len(forms := auto_table(measured)) > 1:
        parts.append(f"\n{print_table(forms)}")
    return "\n".join([*parts, "", *left_out_lines(measured)])


def report_every(
    rows: Iterable[EveryRow], *, csv: str = "", markdown: bool = False, status: Callable[[str], None] = silent
) -> str:
    """Print every block as it is measured, and then as one table.

    Args:
        rows: from ``bench_every``.
        csv: file for all measurements, written as they come; none if empty.
        markdown: the table in Markdown.
        status: called with a line for each measurement.

    Returns:
        The table.
    """
    measured: list[EveryRow] = []
    for row in rows:
        measured.append(row)
        figures = row.skipped or f"{row.forward_ms:.3g} ms forward, {row.train_ms:.3g} ms with backward"
        status(f"{row.name} N {row.positions}: {figures}")
        if csv:
            write_csv(measured, csv)
    table = (to_markdown if markdown else to_text)(every_table(measured))
    note = "ms: in brackets times SNL's bare 1x1 convolutions in the same rounds; MiB: what a training step keeps\n"
    note += "for its backward pass; GMACs: 10^9 multiply-adds of a forward pass"
    left = list(dict.fromkeys(f"{row.name} at N = {row.positions:,}: {row.skipped}" for row in measured if row.skipped))
    return "\n".join([table, "", note, *(["left out:", *left] if left else [])])


def _measure(
    rows: Iterable[Row], figures: Callable[[Row], str], *, csv: str, status: Callable[[str], None]
) -> list[Row]:
    """All measurements, reported and written as they come."""
    measured: list[Row] = []
    for row in rows:
        measured.append(row)
        status(f"{row.variant} N {row.positions} C {row.channels} B {row.batch}: {figures(row)}")
        if csv:
            write_csv(measured, csv)
    return measured


def report_memory(
    rows: Iterable[BlockMemory], *, csv: str = "", markdown: bool = False, status: Callable[[str], None] = silent
) -> str:
    """Print peak memory of blocks as it is measured, and then as tables.

    Args:
        rows: from ``bench_memory``.
        csv: file for all measurements, written as they come; none if empty.
        markdown: tables in Markdown.
        status: called with a line for each measurement.

    Returns:
        The tables.
    """
    print_table = to_markdown if markdown else to_text
    measured = _measure(rows, lambda row: f"{row.mebibytes:,.0f} MiB", csv=csv, status=status)
    title = "peak memory of a training step"
    return "\n".join(f"\n{title}, {size}: MiB\n\n{print_table(table)}" for size, table in memory_tables(measured))


def time_tables(rows: Sequence[BlockTime]) -> list[tuple[str, Table]]:
    """Tables of milliseconds, and in brackets the ratio to the floor.

    Args:
        rows: the measurements.

    Returns:
        Title and table for each C and B, forward and training.
    """
    tables = []
    for channels, batch in dict.fromkeys((row.channels, row.batch) for row in rows):
        here = [row for row in rows if (row.channels, row.batch) == (channels, batch)]
        sizes = list(dict.fromkeys(row.positions for row in here))
        sloped = sum(size >= _SLOPE_FROM for size in sizes) > 1
        for train in (False, True):
            table = [["variant", *(f"N = {n:,}" for n in sizes), *(["slope"] if train and sloped else [])]]
            for name in dict.fromkeys(row.variant for row in here if not (train and row.variant in FORWARD_ONLY)):
                line = [_times(row, train) for row in here if row.variant == name]
                exponent = [f"{slope(rows, name, channels, batch):.2f}"] if train and sloped else []
                table.append([name, *line, *exponent])
            title = f"{'forward + backward' if train else 'forward'}, C = {channels}, B = {batch}"
            tables.append((title, table))
    return tables


def _times(row: BlockTime, train: bool) -> str:
    time, to_floor = (row.train_ms, row.train_to_floor) if train else (row.forward_ms, row.forward_to_floor)
    if math.isnan(time):
        return "-"
    return f"{time:.{2 if time < 10 else 1 if time < 100 else 0}f} ({to_floor:.2f})"


def slope(rows: Sequence[BlockTime], variant: str, channels: int, batch: int, *, least: int = _SLOPE_FROM) -> float:
    """The log-log slope of training time over N: 1 is linear, 2 quadratic.

    Args:
        rows: the measurements.
        variant: of which the slope is.
        channels: at this C.
        batch: at this B.
        least: N from which up points count.

    Returns:
        NaN below two points.
    """
    points = [
        (math.log(r.positions), math.log(r.train_ms))
        for r in rows
        if (r.variant, r.channels, r.batch) == (variant, channels, batch) and r.positions >= least and r.train_ms > 0
    ]
    if len(points) < 2:
        return math.nan
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def auto_choices(rows: Sequence[BlockTime]) -> list[tuple[BlockTime, str, float, float]]:
    """Which form of SNL ``auto`` takes at each size on a CPU. (To time ``auto`` itself would add noise, not knowledge.)

    Args:
        rows: the measurements.

    Returns:
        For each size the row of ``snl-auto``, the form, and that form's time over the better one's of ``snl-linear``
        and ``snl-dense``, forward and training.
    """
    times = {(r.variant, r.positions, r.channels, r.batch): r for r in rows if not r.skipped}
    found = []
    for (variant, n, channels, batch), auto in times.items():
        forms = {form: times.get((f"snl-{form}", n, channels, batch)) for form in ("linear", "dense")}
        measured = {form: row for form, row in forms.items() if row is not None}
        if variant != "snl-auto" or auto.device != "cpu" or len(measured) < 2:
            continue
        affinity = cast(SymmetricAffinity, create_block("snl", channels).affinity)
        picked = "dense" if affinity.dense_is_cheaper(n) else "linear"
        forward = measured[picked].forward_ms / min(row.forward_ms for row in measured.values())
        train = measured[picked].train_ms / min(row.train_ms for row in measured.values())
        found.append((auto, picked, forward, train))
    return found


def auto_table(rows: Sequence[BlockTime]) -> Table:
    """Show ``auto_choices`` as a table.

    Args:
        rows: the measurements.
    """
    table = [["C", "B", "N", "auto takes", "forward", "forward + backward"]]
    for row, picked, forward, train in auto_choices(rows):
        size = [str(row.channels), str(row.batch), f"{row.positions:,}"]
        table.append([*size, picked, f"{forward:.2f}", f"{train:.2f}"])
    return table


def left_out_lines(rows: Sequence[BlockTime]) -> list[str]:
    """A line for each reason for which variants were left out, with the sizes.

    Args:
        rows: the measurements.
    """
    lines: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.skipped:
            size = f"N {row.positions:,} C {row.channels} B {row.batch}"
            lines.setdefault((row.variant, row.skipped), []).append(size)
    return [f"left out: {variant} at {', '.join(sizes)}: {reason}" for (variant, reason), sizes in lines.items()]


def memory_tables(peaks: Sequence[BlockMemory]) -> list[tuple[str, Table]]:
    """Tables of MiB.

    Args:
        peaks: the measurements.

    Returns:
        Title and table for each C and B.
    """
    tables = []
    for channels, batch in dict.fromkeys((peak.channels, peak.batch) for peak in peaks):
        here = [peak for peak in peaks if (peak.channels, peak.batch) == (channels, batch)]
        sizes = list(dict.fromkeys(peak.positions for peak in here))
        table = [["variant", *(f"N = {n:,}" for n in sizes)]]
        for name in dict.fromkeys(peak.variant for peak in here):
            found = {peak.positions: f"{peak.mebibytes:,.0f}" for peak in here if peak.variant == name}
            table.append([name, *(found.get(n, "-") for n in sizes)])
        tables.append((f"C = {channels}, B = {batch}", table))
    return tables


def write_csv(rows: Sequence[BlockTime] | Sequence[BlockMemory] | Sequence[EveryRow], path: str | Path) -> None:
    """Write all rows as they were measured, one a line.

    Args:
        rows: the measurements.
        path: the file.
    """
    with replacing_file(path) as staging, staging.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(rows[0])], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(value) for name, value in asdict(row).items()})


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else value
