"""The folders that relative paths in a data set are relative to.

``inputs.parquet`` has paths as they were given, for ids and the column ``path`` are made of them. Relative ones mean
files below the folder in which their list was embedded, and the next command may run in another one. So embed.json says
of each list with relative paths (``relative_to``) which folder that was: ``folder``, as an absolute path, and
``from_set``, the way to it from the data set, which holds where both were moved or copied together; ``set`` is where
the data set was, which tells a copy from one that was moved. Data sets that were written before do not say it: their
relative paths are taken from the current folder.
"""

import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import Any

RELATIVE_TO = "relative_to"  # the key in embed.json
_SOUGHT = 64  # files of a list that say where it lies: some may be gone


@dataclass(frozen=True)
class Bases:
    """A folder for the relative paths of each list of a table of inputs.

    Args:
        ends: how many inputs there are up to the end of each list.
        folders: of each list; empty for the current folder, and where all paths are absolute.
        guessed: some lists have relative paths, and nothing says what they are relative to.
    """

    ends: tuple[int, ...] = ()
    folders: tuple[str, ...] = ()
    guessed: bool = False

    def join(self, row: int, path: str) -> str:
        """A path that opens.

        Args:
            row: of the input in the table of inputs.
            path: as it stands there.

        Returns:
            The path, in the folder that it is relative to.
        """
        return os.path.join(self.folders[bisect_right(self.ends, row)], path) if any(self.folders) else path

    def files(self, table: Any, rows: Sequence[int]) -> Iterator[list[str]]:
        """The files of inputs, as paths that open.

        Args:
            table: of these inputs, with the columns of the table of inputs.
            rows: the numbers that they have in that.

        Yields:
            Of a tracklet its images, in order; of another input its one file or folder.
        """
        images = table["files"].to_pylist() if "files" in table.column_names else repeat(None)
        for row, file, files in zip(rows, table["file"].to_pylist(), images, strict=False):
            yield [self.join(row, os.fsdecode(one)) for one in files or [file]]


HERE = Bases()
"""All relative paths are relative to the current folder."""


def current_base(table: Any, out: str | os.PathLike[str]) -> dict[str, str] | None:
    """What embed.json says of a list that is embedded now.

    Args:
        table: the list.
        out: the folder of the data set.

    Returns:
        The current folder; None where all paths are absolute.
    """
    if not _relative(table):
        return None
    here, own = os.getcwd(), os.path.realpath(out)
    return {"folder": here, "from_set": os.path.relpath(here, own), "set": own}


def read_bases(metadata: Mapping[str, Any], lengths: Sequence[int], table: Any, out: str | os.PathLike[str]) -> Bases:
    """The folders of the lists of a data set.

    Args:
        metadata: the content of embed.json.
        lengths: of the lists.
        table: the table of inputs.
        out: the folder of the data set.

    Returns:
        The folders.

    Raises:
        ValueError: embed.json says something else.
    """
    entries = metadata.get(RELATIVE_TO, [None] * len(lengths))
    if not isinstance(entries, list) or len(entries) != len(lengths) or not all(map(_is_entry, entries)):
        raise ValueError(
            f"embed.json: {RELATIVE_TO} is {str(entries)[:60]!r}; it must have a folder, or null, for each list of the "
            f"{len(lengths)} that there are."
        )
    ends = tuple(accumulate(lengths))
    folders, guessed = [], False
    for entry, end, length in zip(entries, ends, lengths, strict=True):
        names = _relative(table.slice(end - length, length))
        folders.append(_find(entry, names, os.path.realpath(out)) if entry and names else "")
        guessed |= entry is None and bool(names)
    return Bases(ends, tuple(folders), guessed)


def _is_entry(entry: Any) -> bool:
    """Whether embed.json says such of a list."""
    return entry is None or (
        isinstance(entry, dict) and all(isinstance(entry.get(name), str) for name in ("folder", "from_set", "set"))
    )


def _find(entry: Mapping[str, str], names: Sequence[str], own: str) -> str:
    """The folder of a list that has files of these names; "" for the current one.

    It is sought where it was, then as far from the data set as it was: people move both, or one of them. In a copy of
    both, whose original still stands, it is sought beside the copy first.
    """
    moved = os.path.normpath(os.path.join(own, entry["from_set"]))
    folders = [entry["folder"], moved]
    if own != entry["set"] and os.path.exists(os.path.join(entry["set"], "embed.json")):
        folders.reverse()
    there = (folder for folder in folders if any(os.path.lexists(os.path.join(folder, name)) for name in names))
    folder = next(there, entry["folder"] if os.path.isdir(entry["folder"]) else moved)
    try:
        return "" if os.path.samefile(folder, os.curdir) else folder
    except OSError:  # one of them is not there any more
        return folder


def _relative(table: Any) -> list[str]:
    """Paths of a list that are not absolute, so many that some are still there, from all parts of it."""
    import pyarrow.compute as pc

    columns = [table["file"]]
    if "files" in table.column_names:
        columns.append(pc.list_flatten(table["files"]))
    found: list[str] = []
    for column in columns:
        own = column.filter(pc.invert(pc.starts_with(column, pattern=os.sep)))
        step = max(1, len(own) // _SOUGHT)
        found += [os.fsdecode(own[row].as_py()) for row in range(0, len(own), step)]
    return found
