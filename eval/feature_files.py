"""Features of tracklets in a file, so that scoring can be repeated, or done, without the model.

Parquet, one row for each tracklet (what ``save_features`` writes):

    feature     list of floats        id          whole number or string       camera      whole number or string
    is_query    bool                  in_gallery  bool; without this column every row is in the gallery, as on MARS
    name        string, optional

npz, either ``query, gallery, query_ids, gallery_ids, query_cams, gallery_cams`` (and perhaps ``query_index``: the
gallery row of each query from 0, or ``query_IDX`` from 1 as MARS counts), or one table ``features, ids, cams`` with
``query_index`` or ``is_query``. Other usual names are understood too (``qf``, ``g_pid``, ``camid``, ``embedding`` ...).
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from specvid.eval.feature_names import GROUPS, by_role, find
from specvid.eval.reid import ReidScore
from specvid.eval.similarity import as_matrix

_ROWS = 16384
_ABOUT = "specvid"


@dataclass(frozen=True, eq=False)
class ReidFeatures:
    """Queries and gallery, ready to be scored.

    Attributes:
        query: (Q, D) features.
        gallery: (G, D) features.
        query_ids: (Q,) identities; ``gallery_ids`` (G,).
        query_cams: (Q,) cameras; ``gallery_cams`` (G,).
        query_index: (Q,) gallery row of each query, -1 where it is not in the gallery; None if unknown.
        query_names: (Q,) what each query is, e.g. its folder; ``gallery_names`` (G,); None without.
        about: anything JSON-able about their origin: model, data set, protocol, test sampling.
    """

    query: np.ndarray
    gallery: np.ndarray
    query_ids: np.ndarray
    gallery_ids: np.ndarray
    query_cams: np.ndarray
    gallery_cams: np.ndarray
    query_index: np.ndarray | None = None
    query_names: np.ndarray | None = None
    gallery_names: np.ndarray | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def score(self, protocol: str, **options: Any) -> ReidScore:
        """``score_reid`` of these features."""
        from specvid.eval.retrieval import score_reid

        return score_reid(
            self.query, self.gallery, self.query_ids, self.gallery_ids, self.query_cams, self.gallery_cams,
            protocol=protocol, query_index=self.query_index, **options,
        )  # fmt: skip


def from_table(
    features: np.ndarray, ids: np.ndarray, cams: np.ndarray, is_query: np.ndarray, in_gallery: np.ndarray | None = None,
    *, names: np.ndarray | None = None, about: dict[str, Any] | None = None,
) -> ReidFeatures:  # fmt: skip
    """Features (N, D) of one table with two flags for each row: is it a query, and is it in the gallery."""
    is_query = np.asarray(is_query, bool)
    in_gallery = np.ones(len(is_query), bool) if in_gallery is None else np.asarray(in_gallery, bool)
    if not is_query.any() or not in_gallery.any():
        raise ValueError(
            f"{is_query.sum()} rows are queries and {in_gallery.sum()} are in the gallery; both must exist"
        )
    place = np.cumsum(in_gallery) - 1
    everything = bool(in_gallery.all())
    return ReidFeatures(
        query=features[is_query], gallery=features if everything else features[in_gallery],
        query_ids=ids[is_query], gallery_ids=ids[in_gallery], query_cams=cams[is_query], gallery_cams=cams[in_gallery],
        query_index=np.where(in_gallery, place, -1)[is_query],
        query_names=None if names is None else names[is_query],
        gallery_names=None if names is None else names[in_gallery],
        about=about or {},
    )  # fmt: skip


def save_features(path: str | Path, features: ReidFeatures) -> None:
    """Write ``.parquet`` or ``.npz`` in one go: a file is whole or not there.

    In Parquet a query that lies in the gallery takes one row; where ``query_index`` is unknown, queries get rows of
    their own.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".npz"):
        raise ValueError(f"{path}: features are kept as .parquet or .npz, not as {suffix or 'a file without suffix'}")
    staging = path.with_name(f".{path.name}.writing{suffix}")
    try:
        _write_parquet(staging, features) if suffix == ".parquet" else _write_npz(staging, features)
        os.replace(staging, path)
    finally:
        staging.unlink(missing_ok=True)


def load_features(path: str | Path) -> ReidFeatures:
    """Read anybody's ``.parquet`` or ``.npz`` (the columns and keys: see this module).

    Raises:
        ValueError: another kind of file, or what is missing in it.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file of features")
    readers = {".parquet": _read_parquet, ".npz": _read_npz}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: features are read from .parquet or .npz, not from {path.suffix or 'such a file'}")
    return readers[path.suffix.lower()](path)


def _read_npz(path: Path) -> ReidFeatures:
    with np.load(path, allow_pickle=False) as file:
        roles, arrays = by_role(file.files), file
        about = json.loads(str(arrays[roles["about"]])) if "about" in roles else {}
        index = np.asarray(arrays[roles["query_index"]]).reshape(-1) if "query_index" in roles else None
        if "query_index1" in roles:
            index = np.asarray(arrays[roles["query_index1"]]).reshape(-1).astype(np.int64) - 1
        if all(role in roles for role in GROUPS["separate"]):
            parts = {role: arrays[roles[role]] for role in GROUPS["separate"]}
            named = {role: arrays[roles[role]] for role in ("query_names", "gallery_names") if role in roles}
            return ReidFeatures(**parts, **named, query_index=index, about=about)
        if all(role in roles for role in GROUPS["table"]) and (index is not None or "is_query" in roles):
            features, ids, cams = (arrays[roles[role]] for role in GROUPS["table"])
            names = arrays[roles["names"]] if "names" in roles else None
            if index is None:
                in_gallery = arrays[roles["in_gallery"]] if "in_gallery" in roles else None
                return from_table(features, ids, cams, arrays[roles["is_query"]], in_gallery, names=names, about=about)
            if len(index) == 0 or index.min() < 0 or index.max() >= len(features):
                raise ValueError(f"{path}: query_index names rows from 0 to {len(features) - 1}, this one does not")
            return ReidFeatures(
                features[index], features, ids[index], ids, cams[index], cams, index,
                None if names is None else names[index], names, about,
            )  # fmt: skip
    raise ValueError(
        f"{path} has the arrays {', '.join(file.files) or 'none'}; it needs {', '.join(GROUPS['separate'])}, "
        f"or {', '.join(GROUPS['table'])} with query_index or is_query"
    )


def _write_npz(path: Path, features: ReidFeatures) -> None:
    arrays = {name: value for name, value in vars(features).items() if name != "about" and value is not None}
    np.savez(path, **arrays, about=json.dumps(features.about))


def _read_parquet(path: Path) -> ReidFeatures:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    columns = file.schema_arrow.names
    roles = {role: find(role, columns) for role in ("features", "ids", "cams", "is_query", "in_gallery", "names")}
    missing = [role for role in ("features", "ids", "cams", "is_query") if roles[role] is None]
    if missing:
        raise ValueError(
            f"{path} has the columns {', '.join(columns)}; it lacks {', '.join(missing)} "
            "(columns: feature, id, camera, is_query; and in_gallery, name)"
        )
    table = file.read(columns=[column for role, column in roles.items() if column and role != "features"])
    labels = {
        role: np.asarray(table[column].to_pylist()) for role, column in roles.items() if column and role != "features"
    }
    matrix = _read_lists(path, file, str(roles["features"]))
    metadata = file.schema_arrow.metadata or {}
    about = json.loads(metadata.get(_ABOUT.encode(), b"{}"))
    return from_table(
        matrix, labels["ids"], labels["cams"], labels["is_query"], labels.get("in_gallery"),
        names=labels.get("names"), about=about,
    )  # fmt: skip


def _read_lists(path: Path, file: Any, column: str) -> np.ndarray:
    """A column of equally long lists of floats as (N, D), read in batches: no second copy stands."""
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
            raise ValueError(f"{path}: the lists of column {column} are missing or of different length near row {done}")
        matrix[done : done + len(lists)] = values.reshape(len(lists), width)
        done += len(lists)
    if matrix is None:
        raise ValueError(f"{path} has no rows")
    return matrix


def _write_parquet(path: Path, features: ReidFeatures) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = np.full(len(features.query), -1) if features.query_index is None else np.asarray(features.query_index)
    outside = np.flatnonzero(index < 0)
    gallery_is_query = np.zeros(len(features.gallery), bool)
    gallery_is_query[index[index >= 0]] = True
    query, gallery = as_matrix(features.query, "query"), as_matrix(features.gallery, "gallery")
    value = pa.from_numpy_dtype(gallery.dtype)
    sides = [
        (gallery, np.arange(len(gallery)), features.gallery_ids, features.gallery_cams, features.gallery_names,
         gallery_is_query, True),
        (query, outside, features.query_ids, features.query_cams, features.query_names,
         np.ones(len(query), bool), False),
    ]  # fmt: skip
    writer = None
    for matrix, rows, ids, cams, names, is_query, in_gallery in sides:
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            flat = pa.array(np.ascontiguousarray(matrix[part], gallery.dtype).reshape(-1), value)
            columns = {
                "name": pa.array(["" if names is None else str(names[row]) for row in part]),
                "id": pa.array(np.asarray(ids)[part].tolist()),
                "camera": pa.array(np.asarray(cams)[part].tolist()),
                "is_query": pa.array(is_query[part]),
                "in_gallery": pa.array(np.full(len(part), in_gallery)),
                "feature": pa.FixedSizeListArray.from_arrays(flat, matrix.shape[1]),
            }
            batch = pa.table(columns).replace_schema_metadata({_ABOUT: json.dumps(features.about)})
            writer = writer or pq.ParquetWriter(path, batch.schema, compression="NONE", use_dictionary=["id", "camera"])
            writer.write_table(batch)
    if writer is not None:
        writer.close()
