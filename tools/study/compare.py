"""The paired difference of two rows of a table, from the raw figures of its trainings.

    python -m specvid.tools.study.compare docs/results-relation.csv top1 a2 snl
    python -m specvid.tools.study.compare docs/results-mars-mid-long.csv mAP "snl@conv3.-1 block-lr=10 gate-lr=100" bare

A row is named by its arm (of a study), or by its blocks and settings (of ``specvid ablate``); ``frames=2 bare`` where
the number of frames is a column.
"""

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence

from specvid.errors import unknown
from specvid.pipelines.ablate.cells import points
from specvid.pipelines.engine.log import echo
from specvid.text import counted
from specvid.tools.study.rows import by_arm, difference


def read_arms(path: str) -> dict[str, dict[str, dict[str, str]]]:
    """The trainings of a CSV, by the name of their row and by seed.

    Args:
        path: CSV of a study or of an ablation.

    Returns:
        Name -> seed -> columns.

    Raises:
        ValueError: it is neither.
        OSError: it cannot be read.
    """
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or "seed" not in rows[0] or not {"arm", "blocks"} & rows[0].keys():
        raise ValueError(f"{path} is no CSV of a study or an ablation: it needs the columns seed, and arm or blocks.")
    return by_arm(row | {"arm": _name(row)} for row in rows)


def _name(row: Mapping[str, str]) -> str:
    if "arm" in row:
        return row["arm"]
    frames = f"frames={row['frames']}" if "frames" in row else ""
    return " ".join(filter(None, [frames, row["blocks"] or "bare", row.get("settings", "")]))


def compare(options: argparse.Namespace) -> str:
    """Compare two rows.

    Args:
        options: of the command line.

    Returns:
        A line.

    Raises:
        ValueError: an unknown row or figure, or no seed that both have.
        OSError: a CSV cannot be read.
    """
    both = []
    for path, name in ((options.csv, options.row), (options.other_csv or options.csv, options.other)):
        arms = read_arms(path)
        if name not in arms:
            raise unknown(f"{path}: row", name, arms)
        columns = next(iter(arms[name].values()))
        if options.metric not in columns:
            raise unknown(f"{path}: figure", options.metric, columns)
        seeds = options.seeds or arms[name]
        both.append({seed: row for seed, row in arms[name].items() if seed in map(str, seeds)})
    found = difference(both[0], both[1], options.metric)
    if found is None:
        raise ValueError(f"rows {options.row!r} and {options.other!r} have no seed in common.")
    return f"{options.metric}: {options.row} less {options.other}: {points(found)}, {counted(found.count, 'seed')}"


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        words: its words; those of the process if None.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m specvid.tools.study.compare", description=__doc__)
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
