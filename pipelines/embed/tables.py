"""Lists and tables that name inputs."""

import os
from typing import Any

LISTS, TABLES = (".txt", ".lst"), (".csv", ".parquet")
# Columns of the data set and of the table of inputs, which a user's table cannot bring along.
RESERVED = ("file", "problem", "start_s", "end_s", "first_frame", "last_frame", "embedding", "reason", "shard")


def read_list(path: str) -> list[str]:
    """The paths of a text list: one a line, or separated by NUL. Empty lines do not count."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ValueError(f"list {path!r} cannot be read ({error.strerror}).") from None
    lines = data.split(b"\0") if b"\0" in data else data.removeprefix(b"\xef\xbb\xbf").splitlines()
    names = [os.fsdecode(line) for line in lines if line.strip()]
    if not names:
        raise ValueError(f"list {path!r} names nothing: it needs a path on each line.")
    folder = os.path.dirname(path)
    return [os.path.join(folder, name) for name in names]


def read_table(path: str, path_column: str) -> Any:
    """A ``.csv`` or ``.parquet`` table as a table of inputs: ``id``, ``file``, ``problem``, and the carried columns."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pv
    import pyarrow.parquet as pq

    from specvid.errors import unknown

    try:
        if path.lower().endswith(".csv"):
            options = pv.ParseOptions(newlines_in_values=True)
            table = pv.read_csv(path, parse_options=options)
        else:
            table = pq.read_table(path)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(f"table {path!r} cannot be read: {str(error).splitlines()[0]}") from None
    if path_column not in table.column_names:
        raise unknown(f"table {path!r}: path column", path_column, table.column_names)
    taken = [name for name in table.column_names if name in RESERVED and name != path_column]
    if taken or ("path" in table.column_names and path_column != "path"):
        raise ValueError(
            f"table {path!r} has a column {(taken or ['path'])[0]!r}, a name that the embeddings use: rename it."
        )
    names = [os.fsdecode(value) if isinstance(value, bytes) else value for value in table[path_column].to_pylist()]
    if not all(isinstance(name, str) and name for name in names):
        row = next(i for i, name in enumerate(names) if not (isinstance(name, str) and name))
        raise ValueError(f"table {path!r}: row {row + 1} has no path in column {path_column!r}; every row needs one.")
    folder = os.path.dirname(path)
    paths = [os.path.join(folder, name) for name in names]
    from specvid.pipelines.embed.sources import readable

    ids = pa.array([readable(name) for name in paths], pa.string())
    if "id" in table.column_names:
        given = pc.cast(table["id"], pa.string()).combine_chunks()
        ids = pc.coalesce(given, ids)
    carried = table.drop_columns([name for name in (path_column, "id") if name in table.column_names])
    own = {"id": ids, "file": pa.array(map(os.fsencode, paths), pa.binary())}
    own["problem"] = pa.array([""] * len(paths), pa.string())
    joined = {**own, **{name: carried[name] for name in carried.column_names}}
    return pa.table(joined)
