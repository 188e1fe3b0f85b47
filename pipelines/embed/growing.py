"""Lists of inputs that are added to a data set: each has shards of its own, so those that stand there stay as they are.

``inputs.parquet`` holds the lists one after the other, and embed.json how many inputs each has (``lists``, where there
is more than one). The longer ``inputs.parquet`` is written first; until embed.json says how many of its rows count,
they are those of before. So a kill in between adds nothing, and the same command starts again.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any


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


def new_inputs(there: Any, table: Any) -> Any:
    """The inputs of a list that a data set does not have yet, with the columns of the data set.

    Args:
        there: the table of inputs of the data set.
        table: the list.

    Returns:
        A table like ``there``; columns that the list does not have are empty.

    Raises:
        ValueError: the list has a column that the data set has not, or has with another type; or an id of the data set
            stands for another input in it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    more = [name for name in table.column_names if name not in there.column_names]
    if more:
        raise ValueError(
            f"column {more[0]!r} is not in the data set, whose shards stand already: leave it out of the list, or "
            "embed all anew."
        )
    known = pc.is_in(table["id"], value_set=there["id"].combine_chunks())
    _refuse_others(there, table.filter(known))
    fresh = table.filter(pc.invert(known))
    columns = []
    for field in there.schema:
        if field.name not in table.column_names:
            columns.append(pa.nulls(len(fresh), field.type))
            continue
        try:
            columns.append(fresh[field.name].cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ValueError(
                f"column {field.name!r} is {fresh.schema.field(field.name).type} in the list and {field.type} in the "
                f"data set: {error}."
            ) from None
    return pa.table(columns, schema=there.schema)


def _refuse_others(there: Any, again: Any) -> None:
    """ValueError where an id that a data set has is named again, and is of other files."""
    import pyarrow.compute as pc

    same = there.take(pc.index_in(again["id"], value_set=there["id"].combine_chunks()))
    for name, old, new in zip(again["id"].to_pylist(), _files(same), _files(again), strict=True):
        if old != new:
            first, second = next((pair for pair in zip(old, new, strict=False) if pair[0] != pair[1]), ("", ""))
            how = f"{first!r} there and {second!r} here" if first else f"{len(old)} images there, {len(new)} here"
            raise ValueError(
                f"id {name!r} stands for two inputs that differ, {how}: give what is new an id of its own (of tracks, "
                "which are numbered from 1 each day, another camera name for each recording)."
            )


def _files(table: Any) -> Iterator[list[str]]:
    """The files of each input, as absolute paths."""
    tracklets = table["files"].to_pylist() if "files" in table.column_names else [None] * len(table)
    for file, files in zip(table["file"].to_pylist(), tracklets, strict=True):
        yield [os.path.abspath(os.fsdecode(one)) for one in files or [file]]
