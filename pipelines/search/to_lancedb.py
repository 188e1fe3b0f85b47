"""A data set of embeddings as a table of LanceDB, for programs that look there."""

import os
from collections.abc import Callable
from pathlib import Path

from specvid.extras import require
from specvid.files import replacing_folder
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import Rows
from specvid.pipelines.search.deleting import deleted_rows, kept_batches
from specvid.text import counted


def to_lancedb(
    folder: str | os.PathLike[str], out: str | os.PathLike[str], *, table: str, echo: Callable[[str], None]
) -> int:
    """Write the rows of a folder of embeddings as a table of a new LanceDB database, which appears in one rename.

    Args:
        folder: that `specvid embed` wrote.
        out: folder of the database; it must not exist, or be empty.
        table: name of the table.
        echo: gets a line where rows of deleted inputs are left out.

    Returns:
        How many rows were written: all rows and all columns, under their names; ``embedding`` is the vector.

    Raises:
        ValueError: lancedb is not installed, the data set is not complete, there is something at ``out``, or LanceDB
            cannot take a column.
    """
    import pyarrow as pa

    rows = Rows(Folder(folder))
    deleted = deleted_rows(Folder(folder), rows)
    if os.path.lexists(out) and not (os.path.isdir(out) and not os.listdir(out)):
        raise ValueError(f"{os.fspath(out)!r} is there already: name a folder that is not, nothing is replaced.")
    lancedb = require("lancedb", extra="lancedb", what=f"the export to {os.fspath(out)!r}")
    schema = rows.schema.remove_metadata()

    wanted = len(rows) - (0 if deleted is None else int(deleted.sum()))
    with replacing_folder(Path(out)) as staging:
        try:
            reader = pa.RecordBatchReader.from_batches(
                schema, (batch.cast(schema) for batch in kept_batches(rows, deleted))
            )
            made = lancedb.connect(str(staging)).create_table(table, data=reader, schema=schema)
            written, columns = made.count_rows(), made.schema.names
        except (pa.ArrowException, RuntimeError, TypeError, ValueError) as error:
            types = ", ".join(f"{field.name} is {field.type}" for field in schema)
            cause = " ".join(str(error).split())[:300]
            raise ValueError(f"LanceDB cannot take table {table!r} ({types}): {cause}") from None
        if (written, columns) != (wanted, schema.names):
            raise ValueError(
                f"LanceDB took {written} of {wanted} rows and the columns {', '.join(columns)} of "
                f"{', '.join(schema.names)}: nothing is written to {os.fspath(out)!r}."
            )
    if wanted < len(rows):
        echo(f"left out, of inputs that are deleted: {counted(len(rows) - wanted, 'row')}")
    return wanted
