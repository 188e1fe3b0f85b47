"""The rows of a study: a CSV that grows as trainings end, and what they say over the seeds of an arm."""

import csv
import errno
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from specvid.files import naming, only_writer, write_json
from specvid.pipelines.ablate.statistics import Difference
from specvid.pipelines.engine.block_use import UNUSED
from specvid.reading import read_json, read_plain
from specvid.tools.study.settings import Settings, refuse_other

Seeds = Mapping[str, Mapping[str, str]]
"""seed -> row, of one arm."""

MAY_BE_EMPTY = ("gate", "gate_max", "share")
"""Columns without a number where an arm has no gate, or no block."""

_PATIENCE = 60.0  # s that a row waits for those of other processes


class Rows:
    """A CSV that rows are added to as they are measured, so that the same command goes on where it stopped.

    The settings that all its rows have in common lie beside it, as JSON of the same name. Several processes may add
    rows at the same time. A last line without its end is one that a kill cut off: it counts for nothing.

    Args:
        path: the file; it appears with the first row.
        columns: of a row; ``arm`` and ``seed`` are two of them, and all but ``arm`` are numbers.
        settings: that the figures depend on.
    """

    def __init__(self, path: Path, columns: Sequence[str], settings: Settings) -> None:
        self.path, self.columns, self.settings = path, list(columns), settings

    def read(self) -> list[dict[str, str]]:
        """All rows so far.

        Returns:
            The rows; none where there is no file yet.

        Raises:
            ValueError: the file is of something else, of other settings, or of nobody knows which; or a line in it is
                no whole row.
        """
        try:
            text = self._whole().decode()
            table = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{self.path} cannot be read as a CSV ({error}): give another --out.") from None
        if table and table[0] != self.columns:
            raise self._of_something_else(",".join(table[0]))
        if table[1:]:  # the JSON is written before the first of them, and read after it
            self._refuse_other_settings()
        return [self._row(cells, line) for line, cells in enumerate(table[1:], start=2)]

    def missing(self, arms: Iterable[str], seeds: Iterable[int]) -> list[tuple[str, int]]:
        """What is not measured yet, seeds outermost.

        Args:
            arms: names of the rows.
            seeds: of each.

        Returns:
            Arms and seeds.

        Raises:
            ValueError: as of `read`.
        """
        done = {(row["arm"], int(row["seed"])) for row in self.read()}
        names = list(dict.fromkeys(arms))
        return [(arm, seed) for seed in seeds for arm in names if (arm, seed) not in done]

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row, whole and at once; before the first one the settings.

        Args:
            row: its columns.

        Raises:
            ValueError: a figure is no finite number; or as of `read`.
            OSError: the disk is full, or may not be written.
        """
        cells = {name: "" if row[name] is None else str(row[name]) for name in self.columns}
        for name, value in cells.items():
            if not _fits(name, value):
                raise ValueError(
                    f"{row['arm']}, seed {row['seed']}: {name} is {value or 'empty'}, and must be a finite number. If "
                    "the training diverged, lower --lr, or leave this row out of --arms."
                )
        # the lock is the folder's: one of the file would be gone with a file that is replaced
        with (
            only_writer(self.path.parent, seconds=_PATIENCE, may_lead_out=True),
            naming(self.path, fix="give the same command again"),
        ):
            if not self.read():
                write_json(self._settings_path, dict(self.settings))
            self._append(cells)

    @property
    def _settings_path(self) -> Path:
        return self.path.with_suffix(".json")

    def _append(self, cells: Mapping[str, str]) -> None:
        whole = self._whole()
        lines = [cells.values()] if whole else [self.columns, cells.values()]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        data = text.getvalue().encode()
        with self.path.open("ab", buffering=0) as file:
            if os.fstat(file.fileno()).st_size > len(whole):
                file.truncate(len(whole))
            if file.write(data) < len(data):
                file.truncate(len(whole))
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _whole(self) -> bytes:
        """The file up to the end of its last whole line."""
        data = read_plain(self.path) if self.path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        if not whole and not ",".join(self.columns).encode().startswith(data):  # somebody's file of one line
            raise self._of_something_else(data[:80].decode(errors="backslashreplace"))
        return whole

    def _of_something_else(self, header: str) -> ValueError:
        return ValueError(
            f"{self.path} is none of this study: its first line is {header[:200]!r}, and the columns here are "
            f"{','.join(self.columns)}. Give another --out."
        )

    def _refuse_other_settings(self) -> None:
        if not self._settings_path.exists():
            raise ValueError(
                f"{self.path} has rows, and {self._settings_path.name}, which says of which settings they are, is not "
                "beside it. Give another --out."
            )
        refuse_other(self.path, "rows", read_json(self._settings_path), self.settings)

    def _row(self, cells: Sequence[str], line: int) -> dict[str, str]:
        row = dict(zip(self.columns, cells, strict=False))
        if len(cells) != len(self.columns) or not all(_fits(name, value) for name, value in row.items()):
            raise ValueError(
                f"{self.path}, line {line}: {','.join(cells)[:200]!r} is no row of {','.join(self.columns)} with "
                "finite numbers. Remove the line: the same command then measures it again."
            )
        return row


def _fits(column: str, value: str) -> bool:
    """Whether a cell has what its column needs."""
    if column == "arm":
        return bool(value)
    if column == "seed":
        return value.isdecimal()
    if not value:
        return column in MAY_BE_EMPTY
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


def verdict(one: Difference | None, shares: Sequence[float]) -> str:
    """What a row says about its block.

    Args:
        one: its difference to the bare network, if any.
        shares: of what its block adds, over the seeds.

    Returns:
        ``unused``, or what the difference says; ``-`` where there is none.
    """
    if shares and max(shares) < UNUSED:
        return "unused"
    return one.verdict if one else "-"


def by_arm(rows: Iterable[dict[str, str]]) -> dict[str, dict[str, dict[str, str]]]:
    """Rows by what was trained, and by seed.

    Args:
        rows: of a CSV.
    """
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        found.setdefault(row["arm"], {})[row["seed"]] = row
    return found


def figures(seeds: Seeds, column: str) -> list[float]:
    """A column over the seeds, without what is empty.

    Args:
        seeds: of one arm.
        column: with numbers.
    """
    return [float(row[column]) for row in seeds.values() if row[column]]


def difference(seeds: Seeds, bare: Seeds, metric: str) -> Difference | None:
    """The paired difference to the bare network.

    Args:
        seeds: of one arm.
        bare: of the arm that it is compared with.
        metric: a column, a share of 1.

    Returns:
        Mean and interval, of 1; None where no seed is in both.

    Raises:
        ValueError: a cell is no finite number.
    """
    paired = [number(row, metric) - number(bare[seed], metric) for seed, row in seeds.items() if seed in bare]
    return Difference.of(paired) if paired else None


def number(row: Mapping[str, str], column: str) -> float:
    """A figure of a row; of some CSV, perhaps none that `Rows` has checked.

    Args:
        row: of a CSV.
        column: with numbers.

    Raises:
        ValueError: the cell is no finite number.
    """
    if not row[column] or not _fits(column, row[column]):
        raise ValueError(
            f"{row['arm']}, seed {row['seed']}: {column} is {row[column] or 'empty'}, and must be a finite number."
        )
    return float(row[column])
