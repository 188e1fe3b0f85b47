"""The rows of data sets in two dimensions: UMAP (McInnes et al., arXiv:1802.03426), as TorchDR computes it.

TorchDR runs on PyTorch, also on a GPU, and compiles nothing first, unlike the implementations on numba. The map lies
beside the embeddings, in ``map/`` of the (first) data set, and is computed anew where rows changed since.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from specvid import parquet
from specvid.extras import require
from specvid.files import replacing_file
from specvid.pipelines.browse.sets import BrowsedSet
from specvid.pipelines.search.exact import unit_blocks
from specvid.reading import parse_json
from specvid.text import counted

_NEIGHBOURS = 15  # of UMAP: its usual number
_STEPS = 200
_LEAST_ROWS = 10  # fewer different ones are shown in their two principal directions


@dataclass(frozen=True, eq=False)
class EmbeddingMap:
    """Points of rows.

    Attributes:
        places: int64 (N, 2): number of the data set, and of the row in it.
        points: float32 (N, 2).
        total: rows that there are; where they are more than N, those on the map are evenly spaced.
    """

    places: np.ndarray
    points: np.ndarray
    total: int


def open_map(
    sets: Sequence[BrowsedSet], *, most: int, device: str = "cpu", echo: Callable[[str], None]
) -> EmbeddingMap:
    """Read the map of data sets, or compute and store it.

    Args:
        sets: the data sets.
        most: rows on it.
        device: where it is computed.
        echo: gets a line when it is computed.

    Returns:
        The map, without rows of inputs that are deleted.

    Raises:
        ValueError: TorchDR is not installed, or embeddings are not finite.
    """
    file = _file(sets)
    total = sum(len(one.rows) for one in sets)
    places = _spread(sets, most)
    settings: dict[str, Any] = {"method": "umap", "neighbours": _NEIGHBOURS, "steps": _STEPS, "shown": len(places)}
    settings["rows"] = [one.rows.state() for one in sets]
    points = _read(file, settings, places)
    if points is None:
        echo(f"computing the map of {counted(len(places), 'row')} ...")
        points = compute_map(_vectors(sets, places), device=device)
        try:
            _write(file, settings, points)
            echo(f"the map is stored in {file}")
        except OSError as error:
            echo(f"the map is not stored, and is computed anew next time: {error}")
    stays = np.ones(len(places), bool)
    for number, one in enumerate(sets):
        if one.deleted is not None:
            own = places[:, 0] == number
            stays[own] = ~one.deleted[places[own, 1]]
    return EmbeddingMap(places[stays], points[stays], total)


def compute_map(vectors: np.ndarray, *, device: str = "cpu") -> np.ndarray:
    """Place vectors in two dimensions, so that those that are alike lie together.

    Args:
        vectors: float32 (N, D), of unit length.
        device: where it is computed.

    Returns:
        float32 (N, 2). The same in each run on one machine.
    """
    if vectors.shape[1] < 3 or len(np.unique(vectors, axis=0)) < _LEAST_ROWS:
        return _principal(vectors)
    torchdr = require("torchdr", extra="app", what="the map of the embeddings")
    umap = torchdr.UMAP(
        n_neighbors=min(_NEIGHBOURS, len(vectors) - 2),
        n_components=2,
        metric="sqeuclidean",  # of unit vectors: in the order of the cosine
        init="pca",
        max_iter=_STEPS,
        random_state=0,
        device=device,
        backend="faiss" if len(vectors) > 2000 else None,  # without: all distances at once, in N x N numbers
    )
    return np.asarray(umap.fit_transform(np.ascontiguousarray(vectors, np.float32)), np.float32)


def _principal(vectors: np.ndarray) -> np.ndarray:
    """The first two principal coordinates."""
    centred = vectors - vectors.mean(axis=0, keepdims=True) if len(vectors) else vectors
    points = np.zeros((len(vectors), 2), np.float32)
    if len(vectors):
        left, scale, _ = np.linalg.svd(centred, full_matrices=False)
        width = min(2, len(scale))
        points[:, :width] = left[:, :width] * scale[:width]
    return points


def _spread(sets: Sequence[BrowsedSet], most: int) -> np.ndarray:
    """Places of at most so many rows, evenly spaced over all sets."""
    counts = [len(one.rows) for one in sets]
    places = np.array([(number, row) for number, count in enumerate(counts) for row in range(count)], np.int64)
    places = places.reshape(-1, 2)
    if len(places) > most:
        places = places[np.linspace(0, len(places) - 1, most).astype(np.int64)]
    return places


def _vectors(sets: Sequence[BrowsedSet], places: np.ndarray) -> np.ndarray:
    """The unit vectors of places, which are in order."""
    found = []
    for number, one in enumerate(sets):
        wanted, start = places[places[:, 0] == number, 1], 0
        for block in unit_blocks(one.rows):
            inside = wanted[(wanted >= start) & (wanted < start + len(block))]
            found.append(block[inside - start])
            start += len(block)
    return np.concatenate(found) if found else np.zeros((0, 1), np.float32)


def _file(sets: Sequence[BrowsedSet]) -> Path:
    """Where the map of these sets lies."""
    others = "\0".join(str(one.folder.path.resolve()) for one in sets[1:])
    name = f"umap-with-{hashlib.sha256(others.encode()).hexdigest()[:12]}" if others else "umap"
    return sets[0].folder.map / f"{name}.parquet"


def _read(file: Path, settings: dict[str, Any], places: np.ndarray) -> np.ndarray | None:
    """The points that are stored; None where there are none of these rows and settings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
        if parse_json((schema.metadata or {}).get(b"specvid", b"null")) != settings:
            return None
        table = parquet.read_table(file, columns=["x", "y"])
        points = np.stack([table[name].to_numpy() for name in ("x", "y")], axis=1).astype(np.float32)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):  # not there, damaged or altered
        return None
    return points if points.shape == (len(places), 2) and np.isfinite(points).all() else None


def _write(file: Path, settings: dict[str, Any], points: np.ndarray) -> None:
    """Store points in one rename."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"x": points[:, 0], "y": points[:, 1]})
    with replacing_file(file) as staging:
        pq.write_table(table.replace_schema_metadata({"specvid": json.dumps(settings)}), staging)
