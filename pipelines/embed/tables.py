"""Lists and tables of inputs, as tables with the columns of `inputs`."""

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from specvid.datasets.layouts.media import IMAGES
from specvid.datasets.layouts.text import NameFinder, delimiter_of, read_text, split_label
from specvid.errors import unknown
from specvid.parquet import read_table as read_parquet
from specvid.pipelines.embed.tracks import group_tracklets
from specvid.reading import read_plain
from specvid.text import printable_path

# Columns of the data set and of the table of inputs, which a user's table cannot bring along.
RESERVED = ("file", "files", "problem", "start_s", "end_s", "first_frame", "last_frame", "embedding", "reason", "shard")


def input_table(paths: Sequence[str], problems: Sequence[str]) -> Any:
    """A table of inputs without further columns, whose ids are the paths.

    Args:
        paths: of the inputs.
        problems: of each, why it cannot even be tried; else "".

    Returns:
        The table.
    """
    import pyarrow as pa

    columns = {
        "id": [printable_path(path) for path in paths],
        "file": [os.fsencode(path) for path in paths],
        "problem": list(problems),
    }
    return pa.table(columns, schema=pa.schema([("id", pa.string()), ("file", pa.binary()), ("problem", pa.string())]))


def read_list(path: str, encoding: str = "") -> tuple[Any, list[str]]:
    """A text list as a table of inputs. Names need not be UTF-8; where an encoding is given, they are of that.

    Args:
        path: of the list.
        encoding: of its text.

    Returns:
        The table of inputs, and warnings.

    Raises:
        ValueError: it cannot be read, or names nothing.
    """
    import pyarrow as pa

    try:
        data = read_plain(path)
        text = read_text(path, encoding) if encoding or data[:2] in (b"\xff\xfe", b"\xfe\xff") else None
    except OSError as error:
        raise ValueError(f"list {path!r} cannot be read ({error.strerror}).") from None
    data = data.removeprefix(b"\xef\xbb\xbf") if text is None else text.encode()
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    names = [os.fsdecode(line) for line in lines if line.strip()]
    if not names:
        raise ValueError(f"list {path!r} names nothing: it needs a path on each line.")
    finder = NameFinder(os.path.dirname(path))
    paths = [finder.find(name) for name in names]
    pairs = [split_label(name) for name in names]
    labels = None
    # `path label` lines, the Kinetics way: every line ends in a number, and none is a path with it.
    if all(label for _, label in pairs) and not any(map(os.path.lexists, paths)):
        finder = NameFinder(os.path.dirname(path))
        paths, labels = [finder.find(name) for name, _ in pairs], pa.array([int(label) for _, label in pairs])
    table = input_table(paths, [""] * len(paths))
    return (table if labels is None else table.append_column("label", labels)), list(finder.warnings())


def read_table(path: str, path_column: str, encoding: str = "") -> tuple[Any, list[str]]:
    """A CSV or Parquet table as a table of inputs, with its further columns.

    Args:
        path: of the table.
        path_column: the column that names the file.
        encoding: of the text of a CSV file.

    Returns:
        The table of inputs, and warnings.

    Raises:
        ValueError: it cannot be read, has not the column, or one whose name is taken.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        is_csv = path.lower().endswith(".csv")
        table = _read_csv(path, path_column, encoding) if is_csv else read_parquet(path)
    except (ValueError, OSError, pa.ArrowException) as error:
        raise ValueError(f"table {path!r} cannot be read: {(str(error).splitlines() or [''])[0][:500]}") from None
    twice = [name for name, times in Counter(table.column_names).items() if times > 1]
    if twice:
        raise ValueError(f"table {path!r} has two columns called {twice[0]!r}: rename one.")
    if not table.num_rows:
        raise ValueError(f"table {path!r} has no rows: it needs one for each input.")
    if path_column not in table.column_names:
        raise unknown(f"table {path!r}: path column", path_column, table.column_names)
    taken = [name for name in table.column_names if name in RESERVED and name != path_column]
    if taken or ("path" in table.column_names and path_column != "path"):
        raise ValueError(
            f"table {path!r} has a column {(taken or ['path'])[0]!r}, a name that the embeddings use: rename it."
        )
    try:
        values = table[path_column].to_pylist()
    except OverflowError:  # a date that Python does not know
        values = [None]
    names = [os.fsdecode(value) if isinstance(value, bytes) else value for value in values]
    if not all(isinstance(name, str) and name for name in names):
        row = next(i for i, name in enumerate(names) if not (isinstance(name, str) and name))
        raise ValueError(f"table {path!r}: row {row + 1} has no path in column {path_column!r}; every row needs one.")
    finder = NameFinder(os.path.dirname(path))
    files = [finder.find(name) for name in names]
    if all(os.path.splitext(name)[1].lower() in IMAGES for name in names):
        grouped, warnings = group_tracklets(table.drop_columns([path_column]), files, where=f"table {path!r}")
        return grouped, [*finder.warnings(), *warnings]
    inputs = input_table(files, [""] * len(names))
    if "id" in table.column_names:
        try:
            given = pc.cast(table["id"], pa.string()).combine_chunks()
        except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
            kind = table.schema.field("id").type
            raise ValueError(f"table {path!r}: column id is of type {kind}; write text or numbers.") from None
        inputs = inputs.set_column(0, "id", pc.coalesce(given, inputs["id"]))
    for name in table.column_names:
        if name not in (path_column, "id"):
            inputs = inputs.append_column(table.schema.field(name), table[name])
    return inputs, list(finder.warnings())


def _read_csv(path: str, path_column: str, encoding: str) -> Any:
    """A CSV file, whatever parts its columns.

    Paths and ids are text, and so is a column in which a number begins with a zero: ``0012`` and ``12`` are two.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pv

    text = read_text(path, encoding)
    data = pa.py_buffer(text.encode())
    parse = pv.ParseOptions(newlines_in_values=True, delimiter=delimiter_of(text))

    def read(as_text: Sequence[str]) -> Any:
        types = pv.ConvertOptions(column_types=dict.fromkeys(as_text, pa.string()))
        return pv.read_csv(pa.BufferReader(data), parse_options=parse, convert_options=types)

    always = ["id", path_column]
    table = read(always)
    numbers = [
        field.name for field in table.schema if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    ]
    plain = read(table.column_names) if numbers else table
    zeros = [name for name in numbers if pc.any(pc.match_substring_regex(plain[name], r"^\s*[+-]?0[0-9]")).as_py()]
    return read([*always, *zeros]) if zeros else table
