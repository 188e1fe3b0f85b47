"""`build_index`: a FAISS index beside a data set of embeddings, with its recall measured."""

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: F401  # before FAISS: two OpenMP runtimes in the other order can hang

from specvid.errors import unknown
from specvid.files import current, replacing_folder, write_json
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import Rows
from specvid.pipelines.search.checksums import checksums
from specvid.pipelines.search.exact import exact_search, unit, unit_blocks
from specvid.pipelines.search.index import INDEX, METADATA, Index, open_index
from specvid.pipelines.search.parameters import (
    HNSW_SEARCH,
    IVF_PROBES,
    KINDS,
    LEAST_ROWS,
    REFINE,
    hnsw_parameters,
    ivfpq_parameters,
)
from specvid.reading import read_json

_QUERIES = 256  # vectors that measure the recall
_NEIGHBOURS = 10


def build_index(
    out: str | os.PathLike[str],
    kind: str = "flat",
    *,
    recall: float = 0.95,
    echo: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Build ``out/index/``, which appears in one rename and replaces an older one.

    Args:
        out: a folder of embeddings.
        kind: ``flat``, ``hnsw`` or ``ivfpq``.
        recall: recall@10 against the exact search up to which an approximate index is tuned, on 256 new vectors like
            those of the data set.
        echo: gets a line now and then.

    Returns:
        The content of index.json.

    Raises:
        ValueError: an unknown kind, a file, a folder without rows, or an incomplete one.
        OSError: the disk is full or the folder cannot be written.
    """
    import faiss

    if kind not in KINDS:
        raise unknown("index", kind, KINDS)
    if not 0 < recall <= 1:
        raise ValueError(f"recall {recall} must lie in (0, 1].")
    if os.path.isfile(out):
        raise ValueError(
            f"{os.fspath(out)!r} is a file, and an index stands in a folder that `specvid embed --out` wrote. Features "
            "of `specvid eval reid` need none: `specvid search query FILE ID` compares with every row."
        )
    folder = Folder(out)
    rows = Rows(folder)
    if kind == "ivfpq" and len(rows) < LEAST_ROWS:
        raise ValueError(
            f"index 'ivfpq' cannot be trained on {len(rows)} rows, it needs {LEAST_ROWS}: use flat, which is exact."
        )
    if not len(rows):
        raise ValueError(f"{str(folder.path)!r} has no rows: all of its inputs failed, see {folder.errors}.")
    begun = time.perf_counter()
    index = Index(faiss.IndexFlatIP(rows.dim), None, {"kind": kind, "search": {}})
    made = {"hnsw": _hnsw, "ivfpq": _ivfpq, "flat": _flat}[kind](index, rows, echo)
    seconds = time.perf_counter() - begun
    reached = _tune(index, recall, echo)
    index.metadata |= {
        "rows": len(rows),
        "dim": rows.dim,
        "metric": "cosine",
        "goal": recall,
        "build": made,
        "recall@10": reached,
        "build_seconds": round(seconds, 2),
        "faiss": faiss.__version__,
        "parts": rows.state(),
    }
    _save(folder, index)
    return index.metadata


def extend_index(
    out: str | os.PathLike[str], *, echo: Callable[[str], None] = lambda line: None
) -> dict[str, Any] | None:
    """Add the rows of shards that were appended to the index of a folder, and measure its recall again.

    Args:
        out: a folder of embeddings.
        echo: gets a line now and then.

    Returns:
        The content of index.json; None where there is no index that the first shards of the folder made.

    Raises:
        ValueError: the index is damaged or altered, or the folder incomplete.
        OSError: the disk is full or the folder cannot be written.
    """
    import faiss

    folder = Folder(out)
    file = current(folder.path / INDEX) / METADATA
    if not file.exists():
        return None
    rows, parts = Rows(folder), read_json(file).get("parts")
    if not isinstance(parts, list) or not parts or rows.state()[: len(parts)] != parts:
        return None
    begun = time.perf_counter()
    mapped = open_index(folder, rows.of_shards(0, len(parts)))  # which checks the files
    assert mapped is not None
    if len(parts) == len(rows.parts):
        return mapped.metadata
    kind = mapped.metadata["kind"]
    index = Index(faiss.read_index(str(file.parent / "flat.faiss")), None, mapped.metadata)
    if kind != "flat":
        index.quick = faiss.read_index(str(file.parent / f"{kind}.faiss"))
    if kind == "hnsw":
        index.quick.storage, index.quick.own_fields = index.flat, False
    before = index.flat.ntotal
    for block in unit_blocks(rows.of_shards(len(parts), len(rows.parts))):
        if kind != "hnsw":  # a graph adds them to its vectors itself
            index.flat.add(block)
        if index.quick is not None:
            index.quick.add(block)
    seconds = time.perf_counter() - begun
    reached = _tune(index, index.metadata.get("goal", 0.95), echo)
    index.metadata |= {"rows": len(rows), "recall@10": reached, "parts": rows.state()}
    _save(folder, index)
    echo(f"{kind} index: {len(rows) - before:,} rows more in {seconds:.1f} s, recall@10 {reached:.3f}")
    return index.metadata


def rebuild_index(
    out: str | os.PathLike[str], *, echo: Callable[[str], None] = lambda line: None
) -> dict[str, Any] | None:
    """Build the index of a folder anew, as it was built, where it is of other rows than those in the folder.

    Args:
        out: a folder of embeddings.
        echo: gets a line now and then.

    Returns:
        The content of index.json; None where there is no index, or no row is left.
    """
    folder = Folder(out)
    file = current(folder.path / INDEX) / METADATA
    if not file.exists():
        return None
    metadata, rows = read_json(file), Rows(folder)
    if metadata.get("parts") == rows.state():
        return metadata
    if not len(rows):
        echo("no row is left, and an index of none cannot be built: the old one fits no more")
        return None
    kind = str(metadata.get("kind"))
    if kind == "ivfpq" and len(rows) < LEAST_ROWS:
        kind = "flat"
    made = build_index(out, kind, recall=float(metadata.get("goal", 0.95)), echo=echo)
    echo(f"{kind} index of {len(rows):,} rows built anew, recall@10 {made['recall@10']:.3f}")
    return made


def _flat(index: Index, rows: Rows, echo: Callable[[str], None]) -> dict[str, Any]:
    for block in unit_blocks(rows):
        index.flat.add(block)
    return {}


def _hnsw(index: Index, rows: Rows, echo: Callable[[str], None]) -> dict[str, Any]:
    import faiss

    made = hnsw_parameters(len(rows))
    echo(f"hnsw: {made.links} links, {made.construction} candidates while building")
    index.quick = faiss.IndexHNSWFlat(rows.dim, made.links, faiss.METRIC_INNER_PRODUCT)
    index.quick.hnsw.efConstruction = made.construction
    index.flat = faiss.downcast_index(index.quick.storage)  # the vectors are in memory once
    progress = _every(30.0, echo)
    for block in unit_blocks(rows):
        index.quick.add(block)
        progress(f"{index.flat.ntotal:,} of {len(rows):,} rows are in the graph")
    return dataclasses.asdict(made)


def _ivfpq(index: Index, rows: Rows, echo: Callable[[str], None]) -> dict[str, Any]:
    import faiss

    _flat(index, rows, echo)
    made = ivfpq_parameters(len(rows), rows.dim)
    echo(f"ivfpq: {made.lists} lists, {made.codes} codes of {made.bits} bits, trained on {made.train} rows")
    centres = faiss.IndexFlatL2(made.padded)
    lists = faiss.IndexIVFPQ(centres, made.padded, made.lists, made.codes, made.bits)
    lists.cp.niter = lists.pq.cp.niter = made.rounds
    lists.pq.cp.max_points_per_centroid = -(-made.train_codes // 2**made.bits)
    # Unit vectors: the order by distance is that by cosine.
    index.quick = lists
    if made.padded != rows.dim:
        widen: Any = faiss.RemapDimensionsTransform  # its typed signature lacks the one in use
        index.quick = faiss.IndexPreTransform(widen(rows.dim, made.padded, False), lists)
    index.quick.train(np.ascontiguousarray(index.vectors[_spread(len(rows), made.train)]))
    for block in index.blocks():
        index.quick.add(block)
    index.owned = (centres, lists)
    return dataclasses.asdict(made)


def _every(seconds: float, echo: Callable[[str], None]) -> Callable[[str], None]:
    """``echo``, but no more often than that."""
    last = time.monotonic()

    def echo_now_and_then(line: str) -> None:
        nonlocal last
        if time.monotonic() - last > seconds:
            last = time.monotonic()
            echo(line)

    return echo_now_and_then


def _tune(index: Index, goal: float, echo: Callable[[str], None]) -> float:
    """Raise what the search looks at until the recall reaches ``goal``; returns the recall."""
    if index.quick is None:
        return 1.0
    k = min(_NEIGHBOURS, index.flat.ntotal)
    query = _new_queries(index)
    truth = exact_search(query, index.blocks(), k)[1]
    if index.metadata["kind"] == "hnsw":
        ladder = [{"efSearch": ef} for ef in HNSW_SEARCH]
    else:
        lists = index.metadata.get("lists") or _lists(index.quick)
        probes = sorted({min(probe, lists) for probe in (*IVF_PROBES, lists)})
        ladder = [{"nprobe": probe, "refine": refine} for probe in probes for refine in REFINE]
    reached = 0.0
    for step in ladder:
        index.metadata["search"] = step
        found = index.search(query, k)[1]
        shares = [len(np.intersect1d(a, b)) / k for a, b in zip(truth, found, strict=True)]
        reached, error = float(np.mean(shares)), float(np.std(shares)) / len(shares) ** 0.5
        echo(f"{', '.join(f'{name} {value}' for name, value in step.items())}: recall@{k} {reached:.3f}")
        if reached - 2 * error >= goal:  # so that other queries reach it too
            return reached
    if reached >= goal:
        return reached
    echo(f"warning: recall@{k} {reached:.3f} is the most that this index gives, {goal} was asked for")
    return reached


def _lists(quick: Any) -> int:
    import faiss

    return faiss.extract_index_ivf(quick).nlist


def _new_queries(index: Index) -> np.ndarray:
    """Unit vectors (Q, D) that are not in the index: rows, moved by the distance to their nearest neighbour in a random
    direction. Rows themselves are found more easily than anything new, because a graph has links to them.
    """
    count = index.flat.ntotal
    rows = np.ascontiguousarray(index.vectors[_spread(count, _QUERIES)])
    nearest = exact_search(rows, index.blocks(), min(2, count))[0][:, -1:]
    away = unit(np.random.default_rng(0).standard_normal(rows.shape, np.float32))
    return unit(rows + np.sqrt(np.maximum(2 - 2 * nearest, 0)) * away)


def _spread(count: int, wanted: int) -> np.ndarray:
    """``wanted`` of ``count`` rows, evenly over all."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).astype(np.int64))


def _save(folder: Folder, index: Index) -> None:
    import faiss

    target = folder.path / INDEX
    with replacing_folder(target) as staging:
        _write(index.flat, staging / "flat.faiss", 0)
        if index.quick is not None:
            skip = faiss.IO_FLAG_SKIP_STORAGE if index.metadata["kind"] == "hnsw" else 0
            _write(index.quick, staging / f"{index.metadata['kind']}.faiss", skip)
        index.metadata["files"] = {path.name: checksums(path) for path in sorted(staging.iterdir())}
        write_json(staging / METADATA, index.metadata)


def _write(index: Any, path: Path, flags: int) -> None:
    import faiss

    write: Any = faiss.write_index  # its typed signature lacks the flags
    write(index, str(path), flags)
