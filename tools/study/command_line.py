"""The command line that all studies share: their common options, checks before any work, one line for an error."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TypeVar

from specvid.config import require_at_least
from specvid.files import output_file
from specvid.pipelines.engine.log import echo
from specvid.text import counted
from specvid.tools.program import Program

Arm = TypeVar("Arm")

_LEAST = {"seeds": 1, "first_seed": 0, "epochs": 1, "split": 1, "frames": 1, "stride": 1, "size": 1}


def study_parser(
    name: str, about: str | None, *, data: str, weights: str, arms: str, seeds: int, epochs: int, lr: float
) -> argparse.ArgumentParser:
    """The options that all studies have.

    Args:
        name: of the module in ``specvid.tools.study``.
        about: what it does, for ``--help``.
        data: what ``--data`` is, for ``--help``; likewise the next two.
        weights: whose ``--weights`` are.
        arms: what ``--arms`` takes.
        seeds: how many by default.
        epochs: of a training by default.
        lr: learning rate by default.

    Returns:
        The parser, to which a study adds its own options.
    """
    parser = Program(f"study.{name}", about)
    parser.add_argument("--data", required=True, help=data)
    parser.add_argument("--weights", required=True, help=weights)
    parser.add_argument("--out", required=True, help="CSV that rows are added to")
    parser.add_argument("--seeds", type=int, default=seeds, help="how many")
    parser.add_argument("--arms", nargs="+", help=arms)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--lr", type=float, default=lr)
    return parser


def run(
    parser: argparse.ArgumentParser, study: Callable[[argparse.Namespace], str], words: Sequence[str] | None
) -> int:
    """Run a study, and print its table.

    Args:
        parser: of its command line.
        study: called with the options, of which ``out`` is a path; returns the table.
        words: the command line; that of the process if None.

    Returns:
        The exit code; 2 where the user has to change something, which is said in a line.
    """
    options = parser.parse_args(words)
    try:
        _check(options)
        echo(study(options))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def by_name(
    arms: Sequence[str], parse: Callable[[str], Arm], name_of: Callable[[Arm], str] = attrgetter("name")
) -> dict[str, Arm]:
    """The rows that ``--arms`` names.

    Args:
        arms: as given.
        parse: from one of them to the row.
        name_of: what the row is called in the CSV.

    Returns:
        The rows by their names.

    Raises:
        ValueError: a row that `parse` refuses, or two that are one.
    """
    found: dict[str, Arm] = {}
    given: dict[str, str] = {}
    for text in arms:
        arm = parse(text)
        name = name_of(arm)
        if name in found:
            raise ValueError(f"--arms has {given[name]!r} and {text!r}, which are one row. Remove one of them.")
        found[name], given[name] = arm, text
    return found


def _check(options: argparse.Namespace) -> None:
    """Refuse numbers that no training can have, and an ``--out`` that cannot be written, or what lies beside it."""
    require_at_least(options, **{name: least for name, least in _LEAST.items() if hasattr(options, name)})
    if not 0 < options.lr < math.inf:
        raise ValueError(f"lr {options.lr} must be a finite number greater than 0.")
    for name in ("data", "weights"):
        if not getattr(options, name).strip():
            raise ValueError(f"--{name} '' is an empty text (a variable of the shell that is not set?): give a path.")
    given = options.out
    options.out = output_file("--out", given)
    if options.out.suffix != ".csv":
        raise ValueError(
            f"--out {given!r}: rows are written as CSV, with settings and maps beside them. Give a name that ends with "
            ".csv."
        )
    for suffix, what in ((".json", "settings"), (".safetensors", "maps")):
        output_file(f"--out {given!r} has its {what} beside it:", str(options.out.with_suffix(suffix)))


def require_batch(count: int, batch: int) -> None:
    """Refuse a set that is too small to train on.

    Args:
        count: of its clips to train on.
        batch: clips of a batch.

    Raises:
        ValueError: they are less than a batch.
    """
    if count < batch:
        raise ValueError(f"--data has {counted(count, 'clip')} to train on, less than a batch of {batch}: give more.")
