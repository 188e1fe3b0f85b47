"""Features of tracklets in a file, so that scoring can be repeated, or done, without the model.

Parquet, one row for each tracklet (what ``save_features`` writes):

    feature     list of floats        id          whole number or string       camera      whole number or string
    is_query    bool                  in_gallery  bool; without this column every row is in the gallery, as on MARS
    name        string, optional      query_order   optional: place of a query among the queries; else that of the rows

npz, either ``query, gallery, query_ids, gallery_ids, query_cams, gallery_cams`` (and perhaps ``query_index``: the
gallery row of each query from 0, or ``query_IDX`` from 1 as MARS counts), or one table ``features, ids, cams`` with
``query_index`` or ``is_query``. Other usual names are understood too (``qf``, ``g_pid``, ``camid``, ``embedding`` ...).
"""

import os
import zipfile
import zlib
from pathlib import Path

from specvid.eval.reid.feature_npz import read_npz, write_npz
from specvid.eval.reid.feature_parquet import read_parquet, write_parquet
from specvid.eval.reid.features import ReidFeatures

_READERS = {".parquet": read_parquet, ".npz": read_npz}
_WRITERS = {".parquet": write_parquet, ".npz": write_npz}


def save_features(path: str | Path, features: ReidFeatures) -> None:
    """Write ``.parquet`` or ``.npz`` in one go: a file is whole or not there.

    In Parquet a query that lies in the gallery takes one row; where ``query_index`` is unknown, queries get rows of
    their own.

    Raises:
        ValueError: another kind of file, or for Parquet a query that is not what its gallery row is, or comes twice.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise ValueError(f"{path}: features are kept as .parquet or .npz, not as {suffix or 'a file without suffix'}")
    staging = path.with_name(f".{path.name}.writing{suffix}")
    try:
        _WRITERS[suffix](staging, features)
        os.replace(staging, path)
    finally:
        staging.unlink(missing_ok=True)


def load_features(path: str | Path) -> ReidFeatures:
    """Read anybody's ``.parquet`` or ``.npz`` (the columns and keys: see this module).

    Raises:
        ValueError: another kind of file, or what is damaged, missing or does not fit in it, with its name.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file of features")
    if path.suffix.lower() not in _READERS:
        raise ValueError(f"{path}: features are read from .parquet or .npz, not from {path.suffix or 'such a file'}")
    try:
        features = _READERS[path.suffix.lower()](path)
        features.check()
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: {error}") from None
    return features
