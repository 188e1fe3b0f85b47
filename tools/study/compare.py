"""The paired difference of two rows of a table, from the raw figures of its trainings.

    python -m specvid.tools.study.compare docs/results-relation.csv top1 a2 snl
    python -m specvid.tools.study.compare docs/results-mars-mid-long.csv mAP \\
        "snl@conv3.-1 block-lr=10 gate-lr=100" bare

A row is named by its arm (of a study), or by its blocks and settings (of ``specvid ablate``); ``frames=2 bare`` where
the number of frames is a column, ``recipe=osnet bare`` where the rows have several recipes. ``-`` is ``bare``, as
tables print it.
"""

import argparse
import csv
import io
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from specvid.datasets.layouts.text import delimiter_of, read_text
from specvid.errors import unknown
from specvid.pipelines.ablate.cells import points
from specvid.pipelines.engine.log import echo
from specvid.text import counted
from specvid.tools.program import Program
from specvid.tools.study.rows import by_arm, difference, number

_NO_FIGURES = ("seed", "gate", "gate_max", "share")  # though they may lie between 0 and 1
_DECIMAL_COMMA = re.compile(r"^([+-]?\d+),(\d+(?:[eE][+-]?\d+)?)$")


def read_arms(path: str) -> dict[str, dict[str, dict[str, str]]]:
    """The trainings of a CSV, by the name of their row and by seed.

    Args:
        path: CSV of a study or of an ablation.

    Returns:
        Name -> seed -> columns.

    Raises:
        ValueError: it is neither, or no text, a line in it is cut off, or two rows have one name and seed.
        OSError: it cannot be read.
    """
    rows = _read(path)
    has_recipes = len({row.get("recipe") for row in rows.values()}) > 1
    lines: dict[tuple[str, str], int] = {}
    for line, row in rows.items():
        name = _name(row, has_recipes=has_recipes)
        first = lines.setdefault((name, row["seed"]), line)
        if first != line:
            raise ValueError(
                f"{path}: lines {first} and {line} are both of {name!r}, seed {row['seed']}. Remove one of them, or "
                "say in their settings how they differ."
            )
        row["arm"] = name
    return by_arm(rows.values())


def _read(path: str) -> dict[int, dict[str, str]]:
    """The rows of a CSV by their lines, all of them whole."""
    if not Path(path).exists():
        raise ValueError(f"{path!r} is not there: give the CSV of a study, or that of `specvid ablate`.")
    text, rows = read_text(path), {}
    delimiter = delimiter_of(text)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = next(table, [])
        if "seed" not in columns or not {"arm", "blocks"} & set(columns):
            raise ValueError(
                f"{path} is no CSV of a study or an ablation: it needs the columns seed, and arm or blocks."
            )
        for cells in filter(None, table):
            if len(cells) != len(columns):
                raise ValueError(
                    f"{path}, line {table.line_num}: {','.join(cells)[:200]!r} has {len(cells)} of {len(columns)} "
                    "columns: it was cut off, or is of another table. Remove it."
                )
            # spreadsheets that part columns by semicolons write 0,5
            cells = [_DECIMAL_COMMA.sub(r"\1.\2", cell) if delimiter == ";" else cell for cell in cells]
            rows[table.line_num] = dict(zip(columns, cells, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path}, line {table.line_num}: this is no CSV ({error}).") from None
    if not rows:
        raise ValueError(f"{path} has no rows yet, only its columns.")
    if not text.endswith("\n"):
        raise ValueError(
            f"{path}: its last line, {text.splitlines()[-1][:200]!r}, has no end: it may be cut off. Remove it, or end "
            "it by a line break if it is whole."
        )
    return rows


def _name(row: Mapping[str, str], *, has_recipes: bool) -> str:
    apart = [f"frames={row['frames']}"] if "frames" in row else []
    if "arm" in row:
        return " ".join([*apart, row["arm"]])
    apart += [f"recipe={row['recipe']}"] if has_recipes and row["recipe"] else []
    return " ".join(filter(None, [*apart, row["blocks"] or "bare", row.get("settings", "")]))


def compare(options: argparse.Namespace) -> str:
    """Compare two rows.

    Args:
        options: of the command line.

    Returns:
        A line.

    Raises:
        ValueError: an unknown row or figure, a figure that is no number, or no seed that both have.
        OSError: a CSV cannot be read.
    """
    both = []
    for path, name in ((options.csv, options.row), (options.other_csv or options.csv, options.other)):
        arms = read_arms(path)
        name = " ".join("bare" if word == "-" else word for word in name.split(" "))
        if name not in arms:
            raise unknown(f"{path}: row", name, arms)
        columns = next(iter(arms[name].values()))
        if options.metric not in columns:
            raise unknown(f"{path}: figure", options.metric, columns)
        seeds = [str(seed) for seed in options.seeds or arms[name]]
        if lacking := [seed for seed in seeds if seed not in arms[name]]:
            raise ValueError(
                f"{path}: row {name!r} has no seed {' '.join(lacking)}; it has {' '.join(arms[name])}. "
                "Give some of these."
            )
        both.append({seed: arms[name][seed] for seed in seeds})
        _require_shares(path, both[-1], options.metric)
    found = difference(both[0], both[1], options.metric)
    if found is None:
        raise ValueError(f"rows {options.row!r} and {options.other!r} have no seed in common.")
    alone = [
        f"{name!r} alone has seed{'s' * (len(left) > 1)} {' '.join(left)}"
        for name, one, other in ((options.row, *both), (options.other, *both[::-1]))
        if (left := [seed for seed in one if seed not in other])
    ]
    left_out = f" (left out: {', '.join(alone)})" if alone else ""
    counts = f"{counted(found.count, 'seed')}{left_out}"
    return f"{options.metric}: {options.row} minus {options.other}: {points(found)}, {counts}"


def _require_shares(path: str, seeds: Mapping[str, Mapping[str, str]], column: str) -> None:
    """Refuse a column that would be printed in points and has none: parameters, seconds, gates."""
    for seed, row in seeds.items():
        if column in _NO_FIGURES or not 0 <= number(row, column) <= 1:
            raise ValueError(
                f"{path}: column {column!r}, {row[column]} of seed {seed}, is no figure of a test, which is a share "
                "of 1. Give one that is: mAP, rank1, top1."
            )


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        words: its words; those of the process if None.

    Returns:
        The exit code.
    """
    parser = Program("study.compare", __doc__)
    parser.add_argument("csv", help="of a study or an ablation")
    parser.add_argument("metric", help="a column with shares of 1: mAP, rank1, top1")
    parser.add_argument("row", help="name of a row")
    parser.add_argument("other", help="name of the row that it is compared with")
    parser.add_argument("--other-csv", default="", help="where the other row is, if not in the same CSV")
    parser.add_argument("--seeds", type=int, nargs="+", help="some of them; all if not given")
    options = parser.parse_args(words)
    try:
        echo(compare(options))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
