"""What the verbs of ``specvid eval`` share: which runs on which splits, and how figures are printed."""

import json as json_
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RunOptions:
    """Which runs are scored on which splits."""

    run: tuple[str, ...] = ()
    """Folders of runs."""
    split: int | None = None
    """Score on this split."""
    splits: str = ""
    """Score on these splits (1,2,3), one run per split, and give the mean."""
    json: bool = False
    """Print JSON."""

    def __post_init__(self) -> None:
        if self.split is not None and self.splits:
            raise ValueError(f"--split {self.split} and --splits {self.splits} exclude each other.")

    def split_numbers(self) -> list[int]:
        """The splits; none where each run is scored on its own.

        Raises:
            ValueError: ``--splits`` is no list of numbers.
        """
        text = self.splits or ("" if self.split is None else str(self.split))
        parts = [part.strip() for part in text.split(",")] if text else []
        if not all(part.isdecimal() for part in parts):
            raise ValueError(f"splits {self.splits!r} must be numbers with commas between, e.g. 1,2,3.")
        return [int(part) for part in parts]

    def run_folders(self) -> list[str]:
        """The folders of the runs, with the numbers of the splits in the place of ``{split}``.

        Raises:
            ValueError: there is ``{split}`` in a name, and no split is given.
        """
        splits = self.split_numbers()
        if not splits and any("{split}" in run for run in self.run):
            raise ValueError(f"run {self.run[0]!r} has {{split}} in it: name them with --splits, e.g. --splits 1,2,3.")
        names = (run.replace("{split}", str(number)) for run in self.run for number in splits or [0])
        return list(dict.fromkeys(names))


def print_json(figures: Mapping[str, Any]) -> None:
    """Print figures on stdout as JSON.

    Args:
        figures: what JSON knows.
    """
    print(json_.dumps(figures, indent=2, ensure_ascii=False))
