"""What is to be embedded: files, folders, globs, lists and tables as one sorted table of inputs.

The table of inputs (pyarrow) has the columns ``id`` (string, unique), ``file`` (the path as bytes: a name need not be
UTF-8), ``problem`` (why it cannot even be tried, else ""), of tracklets ``files`` (their images, in order; ``file`` is
the first one), ``folder`` (in which folder of a given one the input was found; null of the others), and every further
column of the tables given. An input is a video file, a folder whose images are the
frames, or a tracklet: the rows of a table that name images and belong together.
"""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from specvid.datasets.decode.opening import refuse_address
from specvid.datasets.layouts.media import IMAGES, VIDEOS, flow_folders, is_hidden
from specvid.pipelines.embed.bases import HERE, Bases
from specvid.pipelines.embed.tables import input_table, read_list, read_table
from specvid.text import counted, printable_path

LISTS, TABLES = (".txt", ".lst"), (".csv", ".parquet")
_SECONDS = ("from_s", "to_s")  # columns of `specvid.tools.data.tracks`, which are empty without a frame rate


class Source(NamedTuple):
    """One input: ``path`` opens it (of a tracklet ``files``), ``problem`` says why it cannot be opened."""

    id: str
    path: str
    problem: str = ""
    files: tuple[str, ...] = ()


@dataclass
class FoundInputs:
    """What was found.

    Attributes:
        table: the inputs, sorted by id.
        skipped: number of files in folders that are neither videos nor images, by suffix.
        hidden: number of hidden files and folders that were left out.
        repeated: how many inputs were named more than once; each is in the table once.
        warnings: about lists and tables, a sentence each.
    """

    table: Any
    skipped: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    repeated: int = 0
    warnings: list[str] = field(default_factory=list)

    def notes(self) -> Iterator[str]:
        """What the user should know of it, a line each: the warnings, and what was left out."""
        yield from self.warnings
        if self.hidden:
            yield f"left out: {counted(self.hidden, 'hidden file')} (or folders)"
        for suffix, count in self.skipped.most_common(8):
            yield f"left out: {counted(count, 'file')} ({suffix}), neither video nor image"
        if self.repeated:
            yield f"named more than once, taken once: {counted(self.repeated, 'input')}"


class Sources(Sequence[Source]):
    """Rows of a table of inputs as `Source`, made when asked for: a list of millions stays small.

    Args:
        table: the table of inputs.
        rows: numbers of its rows.
        bases: what their relative paths are relative to, if not the current folder.
    """

    def __init__(self, table: Any, rows: Sequence[int], bases: Bases = HERE) -> None:
        self.rows, self.bases = rows, bases
        self._columns = [table.column(name) for name in ("id", "file", "problem")]
        self._files = table.column("files") if "files" in table.column_names else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        row = self.rows[place]
        name, file, problem = (column[row].as_py() for column in self._columns)
        files = (self._files[row].as_py() if self._files is not None else None) or ()
        path, *images = (self.bases.join(row, os.fsdecode(one)) for one in (file, *files))
        return Source(name, path, problem, tuple(images))


def find_inputs(
    inputs: Sequence[str | os.PathLike[str]], *, path_column: str = "path", encoding: str = ""
) -> FoundInputs:
    """Find all that ``inputs`` name.

    Args:
        inputs: each is a video file; a folder, searched for videos and for folders with images in them; a glob (``**``
            too); a ``.txt`` list, one path a line (or separated by NUL, as ``find -print0`` writes), with or without
            the number of a class after it, which becomes the column ``label``; or a ``.csv`` or ``.parquet`` table,
            whose further columns are carried over; one of images has a row a frame, and columns that say which
            belong together (`specvid.pipelines.embed.tracks`). Paths in lists and tables are relative to the file. An
            input's id is the column ``id`` of the table, or else the path as it was named or found.
        path_column: the column of a table that names the file.
        encoding: of lists and tables; UTF-8 if not given, or what their byte order mark says.

    Returns:
        The table of inputs, and what was left out of it.

    Raises:
        ValueError: something named does not exist, nothing is found, or an id stands for two inputs.
    """
    import pyarrow as pa

    if not inputs:
        raise ValueError("no VIDEO is given: name files, folders, globs, a .txt list, or a .csv or .parquet table.")
    found = FoundInputs(None)
    paths: list[tuple[str, str]] = []
    folders: dict[bytes, str] = {}
    tables = []
    for item in _expand([os.fspath(item) for item in inputs]):
        suffix = os.path.splitext(item)[1].lower()
        if os.path.isdir(item):
            inside = list(_walk(item, found))
            paths += inside
            for path, _ in inside:
                folders.setdefault(os.fsencode(path), _folder_in(item, path))
        elif suffix in LISTS:
            table, warnings = read_list(item, encoding)
            tables.append(table)
            found.warnings += warnings
        elif suffix in TABLES:
            table, warnings = read_table(item, path_column, encoding)
            tables.append(table)
            found.warnings += warnings
        elif suffix in IMAGES:
            raise ValueError(f"{item!r} is a single image: give the folder of the images, it is one video.")
        else:
            paths.append((item, ""))
    if paths:
        tables.append(input_table([path for path, _ in paths], [problem for _, problem in paths]))
    if not any(len(table) for table in tables):
        skipped = f" ({sum(found.skipped.values())} files are neither videos nor images)" if found.skipped else ""
        raise ValueError(f"nothing to embed: no video in {', '.join(map(repr, map(str, inputs)))}{skipped}.")
    try:
        table = pa.concat_tables(tables, promote_options="default")
        table = table.sort_by("id").combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"the tables do not fit together: {error}. Give one table, or equal column types.") from None
    except pa.ArrowNotImplementedError as error:
        raise ValueError(f"a column of the table is of a type that cannot be sorted: {error}.") from None
    table, found.repeated = _unique(_with_types(table))
    found.table = table if "folder" in table.column_names else _with_folders(table, folders)
    return found


def videos_in(videos: Sequence[str]) -> tuple[list[str], list[str]]:
    """Put the videos in folders in the place of the folders.

    Args:
        videos: files and folders, as a user names them.

    Returns:
        The videos, those of each folder sorted; and what the user should know of the folders, a line each. A folder of
        images is a video; one with neither stays, so that what reads it says what is wrong with it.
    """
    paths: list[str] = []
    notes: list[str] = []
    for video in videos:
        if not os.path.isdir(video):
            paths.append(video)
            continue
        found = FoundInputs(None)
        inside = sorted(path for path, _ in _walk(video, found))
        paths += inside or [video]
        if inside != [video]:
            notes += found.notes()
    return paths, notes


def _expand(items: Sequence[str]) -> Iterator[str]:
    for item in items:
        if os.path.exists(item):
            yield item
            continue
        matches = sorted(glob.glob(item, recursive=True)) if glob.has_magic(item) else []
        if not matches:
            refuse_address(item)
            what = "matches nothing" if glob.has_magic(item) else "does not exist"
            raise ValueError(f"VIDEO {item!r} {what}: name files, folders, globs, a list or a table that are there.")
        yield from matches


def _walk(root: str, found: FoundInputs) -> Iterator[tuple[str, str]]:
    """(path, problem) of the videos and image folders in a folder; links are followed, but no folder twice."""
    problems: list[OSError] = []
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, onerror=problems.append, followlinks=True):
        state = os.stat(folder)
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        found.hidden += sum(map(is_hidden, (*folders, *files)))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        suffixes = {name: os.path.splitext(name)[1].lower() for name in files if not is_hidden(name)}
        if any(suffix in IMAGES for suffix in suffixes.values()):
            yield folder, ""
        elif axes := flow_folders(folder):  # one video
            folders[:] = [name for name in folders if name not in axes]
            yield folder, ""
        for name, suffix in suffixes.items():
            if suffix in VIDEOS:
                yield os.path.join(folder, name), ""
            elif suffix not in IMAGES:
                found.skipped[suffix or "no suffix"] += 1
    for problem in problems:
        yield os.fsdecode(problem.filename), f"cannot be listed ({problem.strerror})"


def _folder_in(root: str, path: str) -> str:
    """In which folder of ``root`` an input lies; "" at its top."""
    folder = os.path.relpath(os.path.dirname(path), root) if path != root else "."
    return "" if folder == "." else printable_path(folder)


def _with_folders(table: Any, folders: dict[bytes, str]) -> Any:
    """The table with the column ``folder``: often the name of a class, which nothing else says of files in folders."""
    import pyarrow as pa

    column = [folders.get(file) for file in table["file"].to_pylist()]
    return table.append_column("folder", pa.array(column, pa.string()))


def _with_types(table: Any) -> Any:
    """The table with types for columns without a value, so that a later list can bring some (`--append`)."""
    import pyarrow as pa

    for place, column in enumerate(table.schema):
        if pa.types.is_null(column.type):
            kind = pa.float64() if column.name in _SECONDS else pa.string()  # all values can be text
            table = table.set_column(place, column.with_type(kind), pa.nulls(len(table), kind))
    return table


def _unique(table: Any) -> tuple[Any, int]:
    """The table without rows that are there twice, and how many they were."""
    import numpy as np
    import pyarrow.compute as pc

    ids = table.column("id")
    equal = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1)).combine_chunks()
    again = np.flatnonzero(np.asarray(equal.to_numpy(zero_copy_only=False))) + 1
    for row in again.tolist():
        first, second = table.slice(row - 1, 2).to_pylist()
        if first != second:
            raise ValueError(
                f"id {first['id']!r} stands for two inputs that differ: give each row of the table an id of its own."
            )
    unique = np.ones(len(table), bool)
    unique[again] = False
    return (table.filter(unique) if len(again) else table), len(again)
