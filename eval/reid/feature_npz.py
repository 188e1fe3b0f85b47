"""Features in an npz, under the names that anybody gives its arrays."""

import json
import zipfile
from pathlib import Path

import numpy as np

from specvid.eval.reid.feature_names import GROUPS, by_role
from specvid.eval.reid.features import ReidFeatures, from_table, read_note
from specvid.eval.reid.labels import as_labels
from specvid.eval.similarity import as_matrix


def read_npz(path: Path) -> ReidFeatures:
    """The features of an npz. Raises ValueError, without the file's name, for what is damaged or missing in it."""
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no npz (empty, cut off, or of another kind); write it again with numpy.savez")
    with np.load(path, allow_pickle=False) as file:
        there = by_role(file.files)
        parts = {role: _array(file, name) for role, name in there.items()}
        has = ", ".join(file.files) or "none"
    about = read_note(str(parts["about"])) if "about" in parts else {}
    index = parts["query_index"].reshape(-1) if "query_index" in parts else None
    if "query_index1" in parts:
        index = parts["query_index1"].reshape(-1).astype(np.int64) - 1
    if all(role in parts for role in GROUPS["separate"]):
        named = {role: parts[role] for role in ("query_names", "gallery_names") if role in parts}
        return ReidFeatures(
            **{role: parts[role] for role in GROUPS["separate"]}, **named, query_index=index, about=about
        )
    if all(role in parts for role in GROUPS["table"]) and (index is not None or "is_query" in parts):
        features, ids, cams = (parts[role] for role in GROUPS["table"])
        names = parts.get("names")
        if index is None:
            return from_table(features, ids, cams, parts["is_query"], parts.get("in_gallery"), names=names, about=about)
        count = len(as_matrix(features, "the table's"))
        ids, cams = as_labels(ids, count, "ids"), as_labels(cams, count, "cameras")
        names = None if names is None else as_labels(names, count, "names")
        if len(index) == 0 or index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= count:
            raise ValueError(f"query_index names rows from 0 to {count - 1}, this one does not")
        return ReidFeatures(
            features[index], features, ids[index], ids, cams[index], cams, index,
            None if names is None else names[index], names, about,
        )  # fmt: skip
    raise ValueError(
        f"it has the arrays {has}; it needs {', '.join(GROUPS['separate'])}, or {', '.join(GROUPS['table'])} with "
        "query_index or is_query"
    )


def write_npz(path: Path, features: ReidFeatures) -> None:
    """All arrays under their own names."""
    arrays = {name: value for name, value in vars(features).items() if name != "about" and value is not None}
    np.savez(path, **arrays, about=json.dumps(features.about))


def _array(file: "np.lib.npyio.NpzFile", name: str) -> np.ndarray:
    try:
        return np.asarray(file[name])
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        raise ValueError(
            f"array {name} holds Python objects, which are not read, for they may run code; save it as numbers or "
            f"strings, e.g. numpy.array({name}.tolist())"
        ) from None
