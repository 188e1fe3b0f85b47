"""Features in Parquet, one row for each tracklet, read and written in batches."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from specvid.eval.matrix import as_matrix
from specvid.eval.reid.features import TABLE, ReidFeatures, from_arrays, names_by_role, parse_about
from specvid.eval.reid.matches import rows_of
from specvid.memory import check_memory

_ROWS = 16384  # in memory at a time, beside the matrix
_LABEL_BYTES = 64  # of a label as a Python object
_ABOUT = "specvid"  # key of the metadata
_COLUMNS = (*TABLE, "is_query", "in_gallery", "query_order", "names")


def read_parquet(path: Path) -> ReidFeatures:
    """The features of a Parquet file.

    Args:
        path: the file.

    Raises:
        ValueError: what is damaged, missing or does not fit in it, without the file's name.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    present = file.schema_arrow.names
    columns = {role: name for role, name in names_by_role(present).items() if role in _COLUMNS}
    missing = [role for role in (*TABLE, "is_query") if role not in columns]
    if missing:
        raise ValueError(
            f"it has the columns {', '.join(present)}; it lacks {', '.join(missing)} "
            "(columns: feature, id, camera, is_query; and in_gallery, name)"
        )
    lists = columns.pop("features")
    kind = file.schema_arrow.field(lists).type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise ValueError(f"column {lists} is of type {kind}; each row must be a list of numbers")
    for name in columns.values():
        if not _is_plain(file.schema_arrow.field(name).type):
            raise ValueError(f"column {name} is of type {file.schema_arrow.field(name).type}; write numbers or text")
    file.scan_contents()  # an error where it is damaged; to ask it for damaged metadata ends the process
    check_memory(_claimed_bytes(file, lists) + file.metadata.num_rows * _LABEL_BYTES * len(columns), "its columns take")
    table = file.read(columns=list(columns.values()))
    arrays = {role: np.asarray(table[column].to_pylist()) for role, column in columns.items()}
    arrays["features"] = _read_lists(file, lists)
    about = parse_about((file.schema_arrow.metadata or {}).get(_ABOUT.encode(), b"{}"))
    return from_arrays(arrays, about=about)


def _is_plain(kind: Any) -> bool:
    """Whether a type is of numbers, text or yes and no."""
    import pyarrow.types as t

    kind = kind.value_type if t.is_dictionary(kind) else kind
    text = t.is_string(kind) or t.is_large_string(kind) or t.is_binary(kind) or t.is_large_binary(kind)
    return text or t.is_integer(kind) or t.is_floating(kind) or t.is_boolean(kind) or t.is_null(kind)


def _claimed_bytes(file: Any, column: str) -> int:
    """What the numbers of a column of lists take in memory: a few bytes of a file may stand for any number of them."""
    width = file.schema_arrow.field(column).type.value_type.bit_width // 8
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    chunks = (group.column(place) for group in groups for place in range(group.num_columns))
    return width * sum(chunk.num_values for chunk in chunks if chunk.path_in_schema.split(".")[0] == column)


def _read_lists(file: Any, column: str) -> np.ndarray:
    """A column of equally long lists of numbers as (N, D), read in batches, so that no second copy is in memory."""
    matrix, done = None, 0
    for batch in file.iter_batches(batch_size=_ROWS, columns=[column]):
        lists = batch.column(0)
        values = lists.flatten().to_numpy(zero_copy_only=False)
        if len(lists) == 0:
            continue
        width = len(values) // len(lists)
        if matrix is None:
            matrix = np.empty((file.metadata.num_rows, width), values.dtype)
        lengths = lists.value_lengths().to_numpy(zero_copy_only=False) if hasattr(lists, "value_lengths") else width
        if width != matrix.shape[1] or lists.null_count or np.any(np.asarray(lengths) != width):
            raise ValueError(f"the lists of column {column} are missing or of different length near row {done}")
        matrix[done : done + len(lists)] = values.reshape(len(lists), width)
        done += len(lists)
    if matrix is None:
        raise ValueError("it has no rows")
    return matrix


def write_parquet(path: Path, features: ReidFeatures) -> None:
    """Write a row for each gallery tracklet, queries among them, and for each query that is not in the gallery.

    Args:
        path: the file to write.
        features: what to write.

    Raises:
        ValueError: a query that is not what its gallery row is, or comes twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = _row_of_each_query(features)
    outside = np.flatnonzero(index < 0)
    order_in_gallery = np.full(len(features.gallery), -1)
    order_in_gallery[index[index >= 0]] = np.flatnonzero(index >= 0)
    query, gallery = as_matrix(features.query, "query"), as_matrix(features.gallery, "gallery")
    value = pa.from_numpy_dtype(gallery.dtype)
    sides = [
        ("gallery", gallery, np.arange(len(gallery)), order_in_gallery),
        ("query", query, outside, np.arange(len(query))),
    ]
    writer = None
    for side, matrix, rows, order in sides:
        ids, cams, names = (getattr(features, f"{side}_{column}") for column in ("ids", "cams", "names"))
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            flat = pa.array(np.ascontiguousarray(matrix[part], gallery.dtype).reshape(-1), value)
            columns = {
                "name": pa.array(["" if names is None else str(names[row]) for row in part]),
                "id": pa.array(np.asarray(ids)[part].tolist()),
                "camera": pa.array(np.asarray(cams)[part].tolist()),
                "is_query": pa.array(order[part] >= 0),
                "in_gallery": pa.array(np.full(len(part), side == "gallery")),
                "query_order": pa.array(order[part]),
                "feature": pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1]),
            }
            batch = pa.table(columns).replace_schema_metadata({_ABOUT: json.dumps(features.about)})
            writer = writer or pq.ParquetWriter(path, batch.schema, compression="NONE", use_dictionary=["id", "camera"])
            writer.write_table(batch)
    if writer is not None:
        writer.close()


def _row_of_each_query(features: ReidFeatures) -> np.ndarray:
    """(Q,) the gallery row that a query shares, -1 for a row of its own; ValueError where they are not the same."""
    if features.query_index is None:
        return np.full(len(features.query), -1)
    index = np.asarray(features.query_index)
    rows_of(index, len(features.query), len(features.gallery))
    inside = np.flatnonzero(index >= 0)
    shared = index[inside]
    again, times = np.unique(shared, return_counts=True)
    if (times > 1).any():
        raise ValueError(
            f"query_index names gallery row {again[times > 1][0]} more than once, and in Parquet a query in the "
            "gallery is its row there; name each row once, or save the features as .npz"
        )
    pairs: Mapping[str, tuple[Any, Any]] = {
        "features": (as_matrix(features.query, "query"), as_matrix(features.gallery, "gallery")),
        "ids": (features.query_ids, features.gallery_ids),
        "cameras": (features.query_cams, features.gallery_cams),
    }
    for what, (query, gallery) in pairs.items():
        if not np.array_equal(np.asarray(query)[inside], np.asarray(gallery)[shared]):
            raise ValueError(
                f"the queries' {what} are not those of the gallery rows that query_index names, and in Parquet a query "
                "in the gallery is its row there; correct query_index, or save the features as .npz"
            )
    return index
