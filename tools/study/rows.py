"""The rows of a study: a CSV that grows as trainings end, and what they say over the seeds of an arm."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from specvid.pipelines.ablate.statistics import Difference

Seeds = Mapping[str, Mapping[str, str]]
"""seed -> row, of one arm."""


class Rows:
    """A CSV that rows are added to as they are measured, so that the same command goes on where it stopped.

    Args:
        path: the file; it appears with the first row.
        columns: of a row; ``arm`` and ``seed`` are two of them.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, columns

    def read(self) -> list[dict[str, str]]:
        """All rows so far."""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def missing(self, arms: Iterable[str], seeds: Iterable[int]) -> list[tuple[str, int]]:
        """What is not measured yet, seeds outermost.

        Args:
            arms: names of the rows.
            seeds: of each.
        """
        done = {(row["arm"], int(row["seed"])) for row in self.read()}
        names = list(arms)
        return [(arm, seed) for seed in seeds for arm in names if (arm, seed) not in done]

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row.

        Args:
            row: its columns.
        """
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)


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
    """
    paired = [float(row[metric]) - float(bare[seed][metric]) for seed, row in seeds.items() if seed in bare]
    return Difference.of(paired) if paired else None
