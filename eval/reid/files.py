"""Features of tracklets in a file, so that scoring can be repeated, or done, without the model.

Parquet, one row for each tracklet (what ``save_features`` writes):

    feature   list of floats      id           integer or string      camera  integer or string
    is_query  bool                in_gallery   bool; without this column every row is in the gallery, as on MARS
    name      string, optional    query_order  optional: place of a query among the queries; else that of the rows

npz, either ``query, gallery, query_ids, gallery_ids, query_cams, gallery_cams`` (and perhaps ``query_index``: the
gallery row of each query from 0, or ``query_IDX`` from 1 as MARS counts), or one table ``features, ids, cams`` with
``query_index`` or ``is_query``. A MATLAB file (``.mat``, versions 5 to 7) has the arrays of an npz, for example those
that layumi's Person_reID_baseline_pytorch writes: ``query_f, query_label, query_cam, gallery_f, ...``. Other usual
names are understood too: ``specvid.eval.reid.features.NAMES``.
"""

import json
import math
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from specvid.eval.reid.features import SEPARATE, TABLE, ReidFeatures, from_arrays, names_by_role, parse_about
from specvid.eval.reid.parquet import read_parquet, write_parquet
from specvid.files import replacing_file
from specvid.matlab import MatlabFile
from specvid.memory import check_memory


def save_features(path: str | Path, features: ReidFeatures) -> None:
    """Write ``.parquet`` or ``.npz`` in one rename: a killed process leaves the old file or none.

    In Parquet a query that lies in the gallery takes one row; where ``query_index`` is unknown, queries get rows of
    their own.

    Args:
        path: the file to write.
        features: what to write.

    Raises:
        ValueError: another suffix, or for Parquet a query that is not what its gallery row is, or comes twice.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise ValueError(f"{path}: features are saved as .parquet or .npz, not as {suffix or 'a file without suffix'}")
    with replacing_file(path) as staging:
        _WRITERS[suffix](staging, features)


def load_features(path: str | Path) -> ReidFeatures:
    """Read anybody's ``.parquet``, ``.npz`` or ``.mat``; the columns and arrays are listed at the top of this module.

    Args:
        path: the file.

    Returns:
        The features, checked to fit together.

    Raises:
        ValueError: another suffix, or what is damaged, missing or does not fit in the file; the message begins with
            its path.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file of features")
    if path.suffix.lower() not in _READERS:
        raise ValueError(
            f"{path}: features are read from .parquet, .npz or .mat, not from {path.suffix or 'such a file'}"
        )
    try:
        features = _READERS[path.suffix.lower()](path)
        features.check()
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())[:500]}") from None
    return features


def _read_npz(path: Path) -> ReidFeatures:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no npz (empty, cut off, or of another kind); write it again with numpy.savez")
    try:
        with np.load(path, allow_pickle=False) as file:
            names = names_by_role(file.files)
            _check_sizes(file.zip, names.values())
            arrays = {role: np.asarray(file[name]) for role, name in names.items()}
            return _from_named(arrays, file.files)
    except ValueError:
        raise
    except Exception as error:  # of many kinds, whatever the damage hits
        raise ValueError(f"it cannot be read as an npz file ({type(error).__name__}: {error})") from None


def _read_mat(path: Path) -> ReidFeatures:
    file = MatlabFile(path)
    names = names_by_role(file.variables)
    check_memory(sum(file.variables[name].size for name in names.values()), "its arrays take")
    content = {name: file.read(name) for name in names.values()}
    # MATLAB knows matrices only: labels are rows of them, and text is padded with spaces.
    tables = ("query", "gallery", "features")
    arrays = {role: content[name] if role in tables else np.ravel(content[name]) for role, name in names.items()}
    for role, array in arrays.items():
        whole = array.dtype.kind == "f" and role not in tables and (np.trunc(array) == array).all()
        if whole and (np.abs(array) < 2**53).all():
            arrays[role] = array.astype(np.int64)
        elif array.dtype.kind == "U":
            arrays[role] = np.char.rstrip(array)
    return _from_named(arrays, list(file.variables))


def _from_named(arrays: dict[str, np.ndarray], present: Sequence[str]) -> ReidFeatures:
    """Features from the arrays of a file by role; ``present``: the names of all arrays in it."""
    has_queries = not arrays.keys().isdisjoint(("query_index", "query_index1", "is_query"))
    if not (all(role in arrays for role in SEPARATE) or (all(role in arrays for role in TABLE) and has_queries)):
        raise ValueError(
            f"it has the arrays {', '.join(present) or 'none'}; it needs {', '.join(SEPARATE)}, or {', '.join(TABLE)} "
            "with query_index or is_query"
        )
    return from_arrays(arrays, about=parse_about(str(arrays["about"])) if "about" in arrays else {})


def _write_npz(path: Path, features: ReidFeatures) -> None:
    """All arrays under their own names."""
    arrays = {name: value for name, value in vars(features).items() if name != "about" and value is not None}
    np.savez(path, **arrays, about=json.dumps(features.about))


def _check_sizes(archive: zipfile.ZipFile, names: Iterable[str]) -> None:
    """Refuse arrays that claim another size than they have, do not fit into memory, or hold Python objects."""
    total = 0
    for name in names:
        member = archive.getinfo(f"{name}.npy" if f"{name}.npy" in archive.namelist() else name)
        with archive.open(member) as file:
            try:
                version = np.lib.format.read_magic(file)
                read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                shape, _, dtype = read_header[version](file)
            except (ValueError, KeyError) as error:
                raise ValueError(f"array {name} is no array of numbers or strings ({error})") from None
            size = member.file_size - file.tell()
        if dtype.hasobject:
            raise ValueError(
                f"array {name} holds Python objects, which are not read, for they may run code; save it as numbers or "
                f"strings, e.g. numpy.array({name}.tolist())"
            )
        if math.prod(shape) * dtype.itemsize != size:
            raise ValueError(
                f"array {name} claims the shape {shape} of {dtype}, which are not the {size:,} bytes of it"
            )
        total += size
    check_memory(total, "its arrays take")


_READERS = {".parquet": read_parquet, ".npz": _read_npz, ".mat": _read_mat}
_WRITERS = {".parquet": write_parquet, ".npz": _write_npz}
