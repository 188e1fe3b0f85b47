"""Parquet files of others, as tables that fit into memory: a few bytes may stand for any number of rows."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from specvid.memory import check_memory
from specvid.reading import require_plain

_ROWS = 16384  # read at a time
_BATCH_BYTES = 2**28
_PYTHON = 4  # times as many bytes as Arrow takes, when values become Python's
_MOST_TIMES = 20  # as much text as the file is large
_ALWAYS = 2**28  # bytes


def read_table(path: str | os.PathLike[str], columns: Sequence[str] | None = None) -> Any:
    """Read a table.

    Args:
        path: of the file.
        columns: the names of those to read, where they are there; all if not given.

    Returns:
        The Arrow table; views of text are text, which more of Arrow can handle.

    Raises:
        ValueError: it is damaged, or does not fit into memory.
        OSError: it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    require_plain(path)
    with pq.ParquetFile(path) as file:
        names = [name for name in file.schema_arrow.names if columns is None or name in columns]
        schema = pa.schema([field for field in file.schema_arrow if field.name in names], file.schema_arrow.metadata)
        parts, taken = [], 0
        for batch in batches(file, names, size=os.path.getsize(path)):
            taken += batch.nbytes
            check_memory(_PYTHON * taken, "its rows take")
            parts.append(batch)
    table = pa.Table.from_batches(parts, schema)
    views = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()} if hasattr(pa, "string_view") else {}
    if any(field.type in views for field in table.schema):
        fields = [(field.name, views.get(field.type, field.type)) for field in schema]
        table = table.cast(pa.schema(fields, schema.metadata))
    return table


def batches(file: Any, columns: Sequence[str], *, size: int, rows: int = _ROWS) -> Iterator[Any]:
    """The rows of a file in order, in memory that its size explains: many rows may be one long text many times.

    Args:
        file: a ``pyarrow.parquet.ParquetFile``.
        columns: names of columns to read.
        size: of the file, in bytes.
        rows: most rows of a batch.

    Yields:
        Arrow record batches.

    Raises:
        ValueError: it is damaged, or its text unpacks to far more than the file is.
    """
    leaves = [file.schema.column(number) for number in range(len(file.schema))]
    text = [i for i, leaf in enumerate(leaves) if leaf.path.split(".")[0] in columns]
    text = [i for i in text if leaves[i].physical_type == "BYTE_ARRAY"]
    if text:
        file.scan_contents(text)  # an error where it is damaged; to ask it for damaged metadata ends the process
        groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
        longest = max((group.column(i).total_uncompressed_size for group in groups for i in text), default=0)
        rows = max(1, min(rows, _BATCH_BYTES // max(1, longest)))  # where all rows are the longest possible text
    taken, most = 0, _MOST_TIMES * size + _ALWAYS
    wide = {leaves[i].path.split(".")[0] for i in text}
    for batch in file.iter_batches(batch_size=rows, columns=list(columns)):
        taken += sum(batch.column(name).nbytes for name in wide)
        if taken > most:
            raise ValueError(
                f"its {size / 2**20:,.1f} MiB unpack to more than {most / 2**20:,.0f} MiB of text, which no table of "
                "videos does"
            )
        yield batch


def to_rows(table: Any) -> list[dict[str, Any]]:
    """The rows of a table as Python's values.

    Args:
        table: from `read_table`.

    Returns:
        A dict for each row.

    Raises:
        ValueError: a date or time that Python does not know.
    """
    values = {}
    for name in table.column_names:
        try:
            values[name] = table[name].to_pylist()
        except OverflowError as error:
            kind = table.schema.field(name).type
            raise ValueError(f"column {name} of type {kind} holds what is beyond all dates ({error})") from None
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
