"""Tables of one's own: CSV, TSV and Parquet files as rows by the names of their columns."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from specvid.datasets.layouts.text import delimiter_of, read_text
from specvid.parquet import read_table as read_parquet
from specvid.parquet import to_rows
from specvid.reading import require_plain

SUFFIXES = (".csv", ".tsv", ".parquet")


def read_table(path: Path, needed: Sequence[str], optional: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a table.

    Args:
        path: a ``.csv``, ``.tsv`` or ``.parquet`` file; text is UTF-8, and its first line shows the delimiter, and
            may have capitals.
        needed: columns that must be there.
        optional: columns that may be there; others are not looked at.

    Returns:
        A dict for each row. Values of text tables are strings, so that ``0022`` stays what it is; empty cells are ""
        or None.

    Raises:
        ValueError: it cannot be read, lacks a column or has it twice, or has a row with too many cells.
    """
    known = (*needed, *optional)
    rows, columns = _parquet(path, known) if path.suffix.lower() == ".parquet" else read_text_table(path)
    spelt = {name: name.lower() for name in columns if name.lower() in known and name.lower() not in columns}
    if spelt:  # as spreadsheets write them: Path, LABEL
        columns = [spelt.get(name, name) for name in columns]
        rows = [{spelt.get(name, name): value for name, value in row.items()} for row in rows]
    missing = [column for column in needed if column not in columns]
    if missing:
        raise ValueError(
            f"{path} lacks the columns {', '.join(missing)}; it needs {', '.join(needed)} and may have "
            f"{', '.join(optional)}."
        )
    for column in (*needed, *optional):
        if columns.count(column) > 1:
            raise ValueError(f"{path} has two columns {column}: rename one.")
    return rows


def read_text_table(path: Path) -> tuple[list[dict[str, Any]], Sequence[str]]:
    """The rows of a text table.

    Args:
        path: of the table.

    Returns:
        A dict of text for each row, and its columns.

    Raises:
        ValueError: it cannot be read, or has a row with too many cells.
    """
    try:
        text = read_text(path).lstrip("\r\n")
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter_of(text), strict=True)
        reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
        rows: list[dict[Any, Any]] = list(reader)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from None
    except csv.Error as error:
        raise ValueError(f"{path} cannot be read as a table ({error}; is a quote open?).") from None
    for number, row in enumerate(rows, start=1):
        if None in row:
            raise ValueError(
                f"{path}, row {number}: has more cells than there are columns; put text with commas in quotes."
            )
    return rows, reader.fieldnames or []


def _parquet(path: Path, names: Sequence[str]) -> tuple[list[dict[str, Any]], Sequence[str]]:
    import pyarrow.parquet as pq

    try:
        require_plain(path)
        columns = pq.read_schema(path).names
        wanted = [name for name in columns if name.lower() in names]
        twice = len(set(wanted)) < len(wanted)
        return ([] if twice else to_rows(read_parquet(path, wanted))), columns
    except (ValueError, OSError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:500]
        raise ValueError(f"{path} cannot be read as Parquet ({reason}); write it again") from None
