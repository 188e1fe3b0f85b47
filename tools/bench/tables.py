"""What `specvid bench blocks` writes: a table for each C and B, a line a variant, a column a size N; rows as CSV."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from specvid.tools.bench.blocks import Row, choice_of_auto, slope
from specvid.tools.bench.memory import MemoryRow

Table = list[list[str]]
"""Rows of text, the heading first."""


def time_tables(rows: Sequence[Row]) -> list[tuple[str, Table]]:
    """Title and table for each C and B, forward and training: milliseconds, and in brackets the ratio to the floor."""
    tables = []
    for channels, batch in dict.fromkeys((row.channels, row.batch) for row in rows):
        here = [row for row in rows if (row.channels, row.batch) == (channels, batch)]
        sizes = list(dict.fromkeys(row.positions for row in here))
        for train in (False, True):
            table = [["variant", *(f"N = {n:,}" for n in sizes), *(["slope"] if train else [])]]
            for name in dict.fromkeys(row.variant for row in here):
                line = [_times(row, train) for row in here if row.variant == name]
                exponent = [f"{slope(rows, name, channels, batch):.2f}"] if train else []
                table.append([name, *line, *exponent])
            title = f"{'forward + backward' if train else 'forward'}, C = {channels}, B = {batch}"
            tables.append((title, table))
    return tables


def _times(row: Row, train: bool) -> str:
    if row.note:
        return "-"
    time, to_floor = (row.train_ms, row.train_to_floor) if train else (row.forward_ms, row.forward_to_floor)
    return f"{time:.{2 if time < 10 else 1 if time < 100 else 0}f} ({to_floor:.2f})"


def auto_table(rows: Sequence[Row]) -> Table:
    """Which form ``auto`` takes, and its time over that of the better one."""
    table = [["C", "B", "N", "auto takes", "forward", "forward + backward"]]
    for row, picked, forward, train in choice_of_auto(rows):
        size = [str(row.channels), str(row.batch), f"{row.positions:,}"]
        table.append([*size, picked, f"{forward:.2f}", f"{train:.2f}"])
    return table


def left_out_lines(rows: Sequence[Row]) -> list[str]:
    """A line for each reason for which variants were left out, with the sizes."""
    lines: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.note:
            size = f"N {row.positions:,} C {row.channels} B {row.batch}"
            lines.setdefault((row.variant, row.note), []).append(size)
    return [f"left out: {variant} at {', '.join(sizes)}: {note}" for (variant, note), sizes in lines.items()]


def memory_tables(peaks: Sequence[MemoryRow]) -> list[tuple[str, Table]]:
    """Title and table for each C and B: MiB, a line a variant, a column a size N."""
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


def write_csv(rows: Sequence[Row] | Sequence[MemoryRow], path: str | Path) -> None:
    """All rows as they were measured, one a line."""
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(rows[0])], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(value) for name, value in asdict(row).items()})


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else value
