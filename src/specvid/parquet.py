"""Parquet files of others, as tables that fit into memory: a few bytes may stand for any number of rows."""

import os
from collections.abc import Sequence
from typing import Any

from specvid.memory import check_memory

_ROWS = 16384  # read at a time
_BATCH_BYTES = 2**26
_PYTHON = 4  # times as many bytes as Arrow takes, when values become Python's


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

    file = pq.ParquetFile(path)
    file.scan_contents()  # an error where it is damaged; to ask it for damaged metadata ends the process
    names = [name for name in file.schema_arrow.names if columns is None or name in columns]
    fields = [field for field in file.schema_arrow if field.name in names]
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    largest = max((group.total_byte_size for group in groups), default=0)  # of one value, if rows share a dictionary
    batches, taken = [], 0
    for batch in file.iter_batches(batch_size=max(1, min(_ROWS, _BATCH_BYTES // max(1, largest))), columns=names):
        taken += batch.nbytes
        check_memory(_PYTHON * taken, "its rows take")
        batches.append(batch)
    table = pa.Table.from_batches(batches, pa.schema(fields))
    views = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()} if hasattr(pa, "string_view") else {}
    if any(field.type in views for field in table.schema):
        table = table.cast(pa.schema([(field.name, views.get(field.type, field.type)) for field in table.schema]))
    return table


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
