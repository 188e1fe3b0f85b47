"""What is to be embedded: files, folders, globs, lists and tables as one sorted table of inputs.

The table of inputs (pyarrow) has the columns ``id`` (string, unique), ``file`` (the path as bytes: a name need not be
UTF-8), ``problem`` (why it cannot even be tried, else ""), of tracklets ``files`` (their images, in order; ``file`` is
the first one), and every further column of the tables given. An input is a video file, a folder whose images are the
frames, or a tracklet: the rows of a table that name images and belong together.
"""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from specvid.datasets.layouts.media import IMAGES, VIDEOS, is_hidden
from specvid.datasets.layouts.text import NameFinder, delimiter_of, read_text, split_label
from specvid.errors import unknown
from specvid.pipelines.embed.tracks import group_tracklets

LISTS, TABLES = (".txt", ".lst"), (".csv", ".parquet")
# Columns of the data set and of the table of inputs, which a user's table cannot bring along.
RESERVED = ("file", "files", "problem", "start_s", "end_s", "first_frame", "last_frame", "embedding", "reason", "shard")


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


class Sources(Sequence[Source]):
    """Rows of a table of inputs as `Source`, made when asked for: a list of millions stays small.

    Args:
        table: the table of inputs.
        rows: numbers of its rows.
    """

    def __init__(self, table: Any, rows: Sequence[int]) -> None:
        self.rows = rows
        self._columns = [table.column(name) for name in ("id", "file", "problem")]
        self._files = table.column("files") if "files" in table.column_names else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        name, file, problem = (column[self.rows[place]].as_py() for column in self._columns)
        files = (self._files[self.rows[place]].as_py() if self._files is not None else None) or ()
        return Source(name, os.fsdecode(file), problem, tuple(map(os.fsdecode, files)))


def printable_path(path: str | bytes) -> str:
    """A path as text that any file and terminal takes.

    Args:
        path: as the file system gives it.

    Returns:
        The text, in which bytes that are not UTF-8 are escaped.
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def one_line(text: str) -> str:
    """Text on one line.

    Args:
        text: e.g. a file name with a newline in it.

    Returns:
        The text with its control characters escaped.
    """
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


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
    tables = []
    for item in _expand([os.fspath(item) for item in inputs]):
        suffix = os.path.splitext(item)[1].lower()
        if os.path.isdir(item):
            paths += _walk(item, found)
        elif suffix in LISTS:
            tables.append(_read_list(item, encoding, found))
        elif suffix in TABLES:
            tables.append(_read_table(item, path_column, encoding, found))
        elif suffix in IMAGES:
            raise ValueError(f"{item!r} is a single image: give the folder of the images, it is one video.")
        else:
            paths.append((item, ""))
    if paths:
        tables.append(_input_table([path for path, _ in paths], [problem for _, problem in paths]))
    if not any(len(table) for table in tables):
        skipped = f" ({sum(found.skipped.values())} files are neither videos nor images)" if found.skipped else ""
        raise ValueError(f"nothing to embed: no video in {', '.join(map(repr, map(str, inputs)))}{skipped}.")
    try:
        table = pa.concat_tables(tables, promote_options="default")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"the tables do not fit together: {error}. Give one table, or equal column types.") from None
    found.table, found.repeated = _unique(table.sort_by("id").combine_chunks())
    return found


def _input_table(paths: Sequence[str], problems: Sequence[str]) -> Any:
    """A table of inputs without further columns, whose ids are the paths."""
    import pyarrow as pa

    columns = {
        "id": [printable_path(path) for path in paths],
        "file": [os.fsencode(path) for path in paths],
        "problem": list(problems),
    }
    return pa.table(columns, schema=pa.schema([("id", pa.string()), ("file", pa.binary()), ("problem", pa.string())]))


def _expand(items: Sequence[str]) -> Iterator[str]:
    for item in items:
        if os.path.exists(item):
            yield item
            continue
        matches = sorted(glob.glob(item, recursive=True)) if glob.has_magic(item) else []
        if not matches:
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
        for name, suffix in suffixes.items():
            if suffix in VIDEOS:
                yield os.path.join(folder, name), ""
            elif suffix not in IMAGES:
                found.skipped[suffix or "no suffix"] += 1
    for problem in problems:
        yield os.fsdecode(problem.filename), f"cannot be listed ({problem.strerror})"


def _read_list(path: str, encoding: str, found: FoundInputs) -> Any:
    """A text list as a table of inputs. Names need not be UTF-8; where an encoding is given, they are of that."""
    import pyarrow as pa

    try:
        with open(path, "rb") as file:
            data = file.read()
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
    found.warnings += finder.warnings()
    table = _input_table(paths, [""] * len(paths))
    return table if labels is None else table.append_column("label", labels)


def _read_table(path: str, path_column: str, encoding: str, found: FoundInputs) -> Any:
    """A table as a table of inputs, with its further columns."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        is_csv = path.lower().endswith(".csv")
        table = _read_csv(path, path_column, encoding) if is_csv else pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
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
    finder = NameFinder(os.path.dirname(path))
    files = [finder.find(name) for name in names]
    if all(os.path.splitext(name)[1].lower() in IMAGES for name in names):
        grouped, warnings = group_tracklets(table.drop_columns([path_column]), files, where=f"table {path!r}")
        found.warnings += [*finder.warnings(), *warnings]
        return grouped
    inputs = _input_table(files, [""] * len(names))
    found.warnings += finder.warnings()
    if "id" in table.column_names:
        given = pc.cast(table["id"], pa.string()).combine_chunks()
        inputs = inputs.set_column(0, "id", pc.coalesce(given, inputs["id"]))
    for name in table.column_names:
        if name not in (path_column, "id"):
            inputs = inputs.append_column(table.schema.field(name), table[name])
    return inputs


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
