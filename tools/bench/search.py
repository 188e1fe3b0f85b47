"""The indexes of `specvid search` over synthetic vectors: seconds to build and to ask, and the recall."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specvid.datasets.decode import Timing
from specvid.files import write_json
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import Rows
from specvid.pipelines.embed.shards import VideoResult, gather_failures, schema_of, write_shard
from specvid.pipelines.engine.log import silent
from specvid.pipelines.search.build import build_index
from specvid.pipelines.search.exact import exact_search, unit, unit_blocks
from specvid.pipelines.search.index import open_index
from specvid.pipelines.search.parameters import LEAST_ROWS
from specvid.text import to_text
from specvid.tools.bench.process_memory import peak_mebibytes, restart_peak
from specvid.tools.timing import Stopwatch

KINDS = ("flat", "hnsw", "ivfpq")
NEIGHBOURS = 10  # that a query asks for
_SHARD = 50_000
_CLUSTER = 50  # rows


@dataclass(frozen=True)
class SearchRow:
    """One kind of index.

    Attributes:
        kind: ``flat``, ``hnsw`` or ``ivfpq``.
        rows: how many vectors are in it.
        dim: of a vector.
        build: seconds with training and adding.
        query: median seconds of one query (k = 10) in the memory-mapped index.
        recall: recall@10 on new vectors.
        mebibytes: of the index's files.
        peak: most resident memory of this process while the index was built, MiB.
    """

    kind: str
    rows: int
    dim: int
    build: float
    query: float
    recall: float
    mebibytes: float
    peak: float


def bench_search(
    rows: int = 1_000_000,
    dim: int = 512,
    *,
    kinds: Sequence[str] = KINDS,
    queries: int = 100,
    cpu: bool = False,
    status: Callable[[str], None] = silent,
) -> list[SearchRow]:
    """Build each kind of index over the same synthetic vectors and search it for new ones.

    Args:
        rows: how many vectors.
        dim: of a vector.
        kinds: of ``KINDS``.
        queries: new vectors, searched for one at a time.
        cpu: seconds of a query are CPU time of this process instead of those of the clock.
        status: called with a line for each step.

    Raises:
        ValueError: too few rows to find, or for an index to be trained on.
    """
    if rows < NEIGHBOURS:
        raise ValueError(f"rows={rows} are fewer than the {NEIGHBOURS} that a query asks for: give more.")
    if "ivfpq" in kinds and rows < LEAST_ROWS:
        raise ValueError(f"rows={rows} are too few for index 'ivfpq': at least {LEAST_ROWS}, or --kinds flat hnsw.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = write_embeddings(Path(scratch) / "synthetic", rows, dim)
        rng = np.random.default_rng(1)
        new = unit(_rows(rng, rng.integers(max(1, rows // _CLUSTER), size=queries), dim))
        stored = Rows(folder)
        _, truth = exact_search(new, unit_blocks(stored), NEIGHBOURS)
        found = []
        for kind in kinds:
            index = None  # the one before leaves the memory
            restart_peak()
            about = build_index(folder.path, kind, echo=status)
            peak = peak_mebibytes()
            index = open_index(folder, stored)
            assert index is not None
            seconds, hits = [], 0
            for query, right in zip(new, truth, strict=True):
                with Stopwatch() as watch:
                    _, answer = index.search(query[None], NEIGHBOURS)
                seconds.append(watch.cpu if cpu else watch.seconds)
                hits += len(np.intersect1d(answer[0], right))
            size = sum(file.stat().st_size for file in (folder.path / "index").iterdir()) / 2**20
            recall = hits / truth.size
            median = statistics.median(seconds)
            found.append(SearchRow(kind, rows, dim, about["build_seconds"], median, recall, size, peak))
            times = f"built in {about['build_seconds']:.0f} s, {1000 * median:.2f} ms a query"
            status(f"{kind}: {times}, recall@10 {recall:.3f}")
        return found


def write_embeddings(out: Path, rows: int, dim: int, *, seed: int = 0) -> Folder:
    """Write a data set of synthetic vectors in clusters of about 50, as embeddings of videos have them.

    Each row is the centre of its cluster plus noise of the same length.

    Args:
        out: folder to write.
        rows: how many vectors.
        dim: of a vector.
        seed: of the random numbers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Folder(out)
    names = [f"{number:08d}" for number in range(rows)]
    inputs = pa.table({"id": names, "file": [name.encode() for name in names], "problem": pa.array([""] * rows)})
    metadata = {"config": {"output": {"dtype": "fp32"}}, "network": {"dim": dim}}
    schema = schema_of(inputs, metadata)
    shards = -(-rows // _SHARD)
    zero = np.zeros(1, np.int64)
    rng = np.random.default_rng([seed, 1])
    for shard in range(shards):
        own = range(shard * _SHARD, min((shard + 1) * _SHARD, rows))
        vectors = _rows(rng, rng.integers(max(1, rows // _CLUSTER), size=len(own)), dim)
        results = [VideoResult(row, Timing(25.0), zero, zero, vectors[i : i + 1]) for i, row in enumerate(own)]
        write_shard(folder, shard, inputs, results, schema)
    pq.write_table(inputs, folder.inputs)
    write_json(folder.metadata_file, {**metadata, "inputs": rows, "shards": shards})
    gather_failures(folder, shards)
    return folder


def as_text(rows: Sequence[SearchRow]) -> str:
    """A table of the indexes.

    Args:
        rows: from ``bench_search``.
    """
    cells = [["index", "rows", "dim", "build", "query", "recall@10", "MiB", "peak MiB"]]
    for row in rows:
        times = [f"{row.build:.1f} s", f"{1000 * row.query:.2f} ms"]
        sizes = [f"{row.mebibytes:.0f}", f"{row.peak:.0f}"]
        cells.append([row.kind, f"{row.rows:,}", str(row.dim), *times, f"{row.recall:.3f}", *sizes])
    return to_text(cells, align="<>", rule=False)


def _rows(rng: np.random.Generator, cluster: np.ndarray, dim: int) -> np.ndarray:
    """One vector (N, D) of each of the clusters named; a centre follows from its number alone."""
    numbers, place = np.unique(cluster, return_inverse=True)
    centres = np.stack([np.random.default_rng([7, number]).standard_normal(dim, np.float32) for number in numbers])
    return centres[place] + rng.standard_normal((len(cluster), dim), np.float32)
