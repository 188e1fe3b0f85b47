"""The data sets that are browsed, opened once: their rows, columns and frames."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.row_files import RowFiles
from specvid.pipelines.embed.rows import Rows, batches
from specvid.pipelines.search.deleting import deleted_rows
from specvid.pipelines.search.query import check_same_network

Place = tuple[int, int]  # number of the data set, number of the row in it
_LARGEST_EXACT = 2**53  # integers beyond it are not exact in a browser


class BrowsedSet:
    """One data set.

    Args:
        path: the folder that `specvid embed` wrote.

    Attributes:
        name: that people see: the last part of the path.
        columns: all but the embedding.
        files: finds the files of its rows.

    Raises:
        ValueError: it is not complete, or holds no embeddings.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.folder = Folder(path)
        self.rows = Rows(self.folder)
        self.name = self.folder.path.resolve().name
        self.columns = [name for name in self.rows.schema.names if name != "embedding"]
        self.deleted = deleted_rows(self.folder, self.rows)
        self._state = self._written()
        self.files = RowFiles(self.folder)

    def require_unchanged(self) -> None:
        """Check that nobody wrote into the data set since it was opened: its rows have other numbers then.

        Raises:
            ValueError: `specvid embed --append`, `embed delete` or another job did.
        """
        if self._written() != self._state:
            raise ValueError(
                f"{str(self.folder.path)!r} was changed since it was opened (inputs added, deleted or embedded anew): "
                "what this page shows are the rows of before. End `specvid browse` and start it again."
            )

    def _written(self) -> list[tuple[int, int] | None]:
        """When what each command that changes rows writes was written last."""
        own = self.folder
        return [_stamp(path) for path in (own.metadata_file, own.embeddings, own.deleted, own.inputs)]

    def column(self, name: str, rows: np.ndarray) -> list[Any]:
        """Values of a column, as a browser can show them.

        Args:
            name: of the column.
            rows: numbers of rows.

        Returns:
            A value for each row; None in all where there is no such column.
        """
        import pyarrow as pa

        if name not in self.columns:
            return [None] * len(rows)
        parts = [batch.column(0) for batch in batches(self.rows.parts, [name])]
        taken = pa.chunked_array(parts, self.rows.schema.field(name).type).take(pa.array(rows, pa.int64()))
        return [plain(value) for value in taken.to_pylist()]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size


def open_sets(paths: Sequence[str | os.PathLike[str]]) -> list[BrowsedSet]:
    """Open data sets.

    Args:
        paths: the folders; made by one network.

    Returns:
        The sets, in their order.

    Raises:
        ValueError: one cannot be opened, is named twice, or was made by another network.
    """
    if not paths:
        raise ValueError("DIR is not given: name the folder that `specvid embed --out` wrote, or several.")
    sets = [BrowsedSet(path) for path in paths]
    places = [Path(path).resolve() for path in paths]
    for number, one in enumerate(sets):
        if places[number] in places[:number]:
            raise ValueError(f"{os.fspath(paths[number])!r} is named twice: name each data set once.")
        if number:
            check_same_network(sets[0].folder, one.folder)
        before = [other.name for other in sets[:number]]
        if one.name in before:
            one.name = f"{one.name} ({number + 1})"
    return sets


def plain(value: Any) -> Any:
    """A value of a column as JSON has it.

    Args:
        value: of any type that Arrow has.

    Returns:
        None, a bool, a number or text.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_EXACT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)
