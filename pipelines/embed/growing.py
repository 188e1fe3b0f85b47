"""Lists of inputs that are added to a data set: each has shards of its own, so those that stand there stay as they are.

``inputs.parquet`` holds the lists one after the other, and embed.json how many inputs each has (``lists``, where there
is more than one). The longer ``inputs.parquet`` is written first; until embed.json says how many of its rows count,
they are those of before. So a kill in between adds nothing, and the same command starts again.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from specvid import parquet
from specvid.pipelines.embed.bases import HERE, Bases, read_bases
from specvid.pipelines.embed.folder import Folder


class Inputs(NamedTuple):
    """The lists of a data set.

    Attributes:
        table: all inputs, one list after the other.
        lengths: of the lists.
        bases: what relative paths are relative to.
    """

    table: Any
    lengths: list[int]
    bases: Bases


def read_inputs(folder: Folder) -> Inputs:
    """The inputs of a data set that count: a killed ``--append`` may have written more.

    Args:
        folder: the folder.

    Returns:
        The lists.

    Raises:
        ValueError: embed.json does not fit.
    """
    metadata = folder.metadata()
    table, lengths = parquet.read_table(folder.inputs).slice(0, metadata["inputs"]), list_lengths(metadata)
    return Inputs(table, lengths, read_bases(metadata, lengths, table, folder.path))


def list_lengths(metadata: Mapping[str, Any]) -> list[int]:
    """How many inputs each list of a data set has.

    Args:
        metadata: the content of embed.json.

    Returns:
        The numbers, in the order in which the lists were added.

    Raises:
        ValueError: they do not add up.
    """
    lengths = metadata.get("lists", [metadata["inputs"]])
    if not (isinstance(lengths, list) and all(isinstance(n, int) and n > 0 for n in lengths)):
        raise ValueError(f"embed.json: lists are {str(lengths)[:60]!r}; they must be numbers of inputs.")
    if sum(lengths) != metadata["inputs"]:
        raise ValueError(f"embed.json: lists of {sum(lengths)} inputs in all, but inputs are {metadata['inputs']}.")
    return lengths


def shard_rows(lengths: list[int], size: int) -> list[range]:
    """The rows of inputs.parquet that each shard holds.

    Args:
        lengths: of the lists.
        size: most inputs of a shard.

    Returns:
        A range for each shard.
    """
    shards, start = [], 0
    for length in lengths:
        end = start + length
        shards += [range(first, min(first + size, end)) for first in range(start, end, size)]
        start = end
    return shards


def new_inputs(old: Inputs, table: Any) -> tuple[Any, list[str]]:
    """The inputs of a list that a data set does not have yet, with the columns of the data set.

    What columns a table of crops brings along depends on its tracklets: where each has one crop, every column has one
    value in each. So those that the data set does not have are left out; of other lists they are refused.

    Args:
        old: what the data set has.
        table: the list.

    Returns:
        A table with the columns of the data set, and ``files`` where the list has tracklets; columns that the list does
        not have are empty. And the columns of crops that were left out.

    Raises:
        ValueError: the list has a column that the data set has not, or has with another type; or an id of the data set
            stands for another input in it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    there = old.table
    left = _columns_without_place(there, table)
    known = pc.is_in(table["id"], value_set=there["id"].combine_chunks())
    _refuse_others(there, table.filter(known), old.bases)
    fresh = table.filter(pc.invert(known))
    fields, columns = list(there.schema), []
    if "files" in table.column_names and "files" not in there.column_names:
        fields.append(table.schema.field("files"))
    for field in fields:
        if field.name not in table.column_names or field.name in left or pa.types.is_null(field.type):
            columns.append(pa.nulls(len(fresh), field.type))
            continue
        try:
            columns.append(fresh[field.name].cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ValueError(
                f"column {field.name!r} is {fresh.schema.field(field.name).type} in the list and {field.type} in the "
                f"data set: {error}. Write such values, or leave it out of the list."
            ) from None
    return pa.table(columns, schema=pa.schema(fields)), left


def _columns_without_place(there: Any, table: Any) -> list[str]:
    """The columns of a list for whose values a data set has no column; ValueError where they are not of crops."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # Of a column without a single value an earlier version knew no type, so it takes none.
    taken = [field.name for field in there.schema if not pa.types.is_null(field.type)]
    strange = [name for name in table.column_names if name not in (*taken, "files") and _has_values(table[name])]
    others = table.filter(pc.is_null(table["files"])) if "files" in table.column_names else table
    for name in strange:
        if _has_values(others[name]):
            where = "has no values in" if name in there.column_names else "is not in"
            raise ValueError(
                f"column {name!r} {where} the data set, whose shards stand already: leave it out of the list, or "
                "embed all anew."
            )
    return strange


def _has_values(column: Any) -> bool:
    return column.null_count < len(column)


def _refuse_others(there: Any, again: Any, bases: Bases) -> None:
    """ValueError where an id that a data set has is named again, and is of other files."""
    import pyarrow.compute as pc

    rows = pc.index_in(again["id"], value_set=there["id"].combine_chunks())
    other = _other_files(there.take(rows), again, bases, rows.to_pylist())
    if other:
        raise ValueError(
            f"{other}: give what is new an id of its own (of tracks, which are numbered from 1 each day, another "
            "camera name for each recording; of files of one name, paths from a folder above them, or absolute ones)."
        )


def other_inputs(old: Inputs, table: Any) -> str:
    """How a list differs from that of a data set.

    Args:
        old: what the data set has.
        table: the list.

    Returns:
        What differs; "" where nothing does.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    new, there = pq.read_table(pa.BufferReader(sink.getvalue())), old.table
    paths = [name for name in new.column_names if name in ("file", "files")]
    if set(paths) <= set(there.column_names) and new.drop_columns(paths).equals(
        _typed_as(new, there.drop_columns(paths))
    ):
        # Where they are relative to another folder, equal paths are other files, and other paths may be the same ones.
        is_same = new.select(paths).equals(there.select(paths)) and not any(old.bases.folders)
        return "" if is_same else _other_files(there, new, old.bases, range(len(there)))
    if len(old.lengths) > 1:
        return f"there are {len(old.lengths)} lists, which were appended"
    gained = pc.sum(pc.invert(pc.is_in(new["id"], value_set=there["id"].combine_chunks()))).as_py() or 0
    lost = pc.sum(pc.invert(pc.is_in(there["id"], value_set=new["id"].combine_chunks()))).as_py() or 0
    return f"{gained} more and {lost} gone" if gained or lost else "other columns"


def _typed_as(new: Any, old: Any) -> Any:
    """``old`` with the types of ``new`` for columns without a value, which had none in earlier versions."""
    import pyarrow as pa

    for place, field in enumerate(old.schema):
        if pa.types.is_null(field.type) and field.name in new.column_names:
            own = new.schema.field(field.name)
            old = old.set_column(place, own, pa.nulls(len(old), own.type))
    return old


def _other_files(there: Any, here: Any, bases: Bases, rows: Sequence[int]) -> str:
    """Which input of a data set and which of a list, of the same ids in the same order, name other files.

    ``rows`` are the numbers that the inputs have in the data set, whose relative paths are relative to ``bases``.
    """
    for name, old, new in zip(here["id"].to_pylist(), bases.files(there, rows), HERE.files(here, rows), strict=True):
        pairs = zip(old, new, strict=False)
        first, second = next((pair for pair in pairs if not _is_same(*pair)), ("", ""))
        if first or len(old) != len(new):
            how = (
                f"{os.path.abspath(first)!r} there and {os.path.abspath(second)!r} here"
                if first
                else f"{len(old)} images there, {len(new)} here"
            )
            return f"id {name!r} stands for two inputs that differ, {how}"
    return ""


def _is_same(one: str, other: str) -> bool:
    """Whether two paths name one file, perhaps by way of a link."""
    return os.path.abspath(one) == os.path.abspath(other) or os.path.realpath(one) == os.path.realpath(other)
