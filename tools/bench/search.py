"""The indexes of `specvid search` over synthetic vectors: seconds to build and to ask, and the recall."""

import contextlib
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specvid.files import write_json
from specvid.pipelines.embed.layout import Folder
from specvid.pipelines.embed.shards import Embedded, gather_failures, schema_of, write_shard
from specvid.pipelines.search.build import build_index
from specvid.pipelines.search.exact import exact_search
from specvid.pipelines.search.index import open_index
from specvid.pipelines.search.vectors import Rows, unit, unit_blocks

KINDS = ("flat", "hnsw", "ivfpq")
_SHARD = 50_000
_CLUSTER = 50  # rows


@dataclass(frozen=True)
class SearchRow:
    """``build``: seconds with training and adding; ``query``: median seconds of one query (k = 10) in the mapped index;
    ``recall``: recall@10 on new vectors; ``mebibytes``: of the index's files; ``peak``: most resident memory of this
    process while the index was built, MiB (NaN where the system does not tell).
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
    progress: Callable[[str], None] | None = None,
) -> list[SearchRow]:
    """Build each kind of index over the same ``rows`` synthetic vectors and ask it ``queries`` new ones."""
    say = progress or (lambda line: None)
    with tempfile.TemporaryDirectory() as scratch:
        folder = draw_embeddings(Path(scratch) / "synthetic", rows, dim)
        rng = np.random.default_rng(1)
        asked = unit(_rows(rng, rng.integers(max(1, rows // _CLUSTER), size=queries), dim))
        stored = Rows(folder)
        _, truth = exact_search(asked, unit_blocks(stored.parts), 10)
        found = []
        for kind in kinds:
            index = None  # the one before leaves the memory
            forget_peak()
            about = build_index(folder.path, kind, tell=say)
            peak = peak_mebibytes()
            index = open_index(folder, stored)
            assert index is not None
            seconds, hits = [], 0
            for query, right in zip(asked, truth, strict=True):
                start = time.perf_counter()
                _, answer = index.search(query[None], 10)
                seconds.append(time.perf_counter() - start)
                hits += len(np.intersect1d(answer[0], right))
            size = sum(file.stat().st_size for file in (folder.path / "index").iterdir()) / 2**20
            recall = hits / truth.size
            median = statistics.median(seconds)
            found.append(SearchRow(kind, rows, dim, about["build_seconds"], median, recall, size, peak))
            times = f"built in {about['build_seconds']:.0f} s, {1000 * median:.2f} ms a query"
            say(f"{kind}: {times}, recall@10 {recall:.3f}")
        return found


def draw_embeddings(out: Path, rows: int, dim: int, *, seed: int = 0) -> Folder:
    """A data set of synthetic vectors in clusters of about 50, as embeddings of videos have them: each row is the
    centre of its cluster plus noise of the same length.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Folder(out)
    names = [f"{number:08d}" for number in range(rows)]
    inputs = pa.table({"id": names, "file": [name.encode() for name in names], "problem": pa.array([""] * rows)})
    facts = {"output": {"dtype": "fp32"}, "network": {"dim": dim}}
    schema = schema_of(inputs, facts)
    shards = -(-rows // _SHARD)
    zero = np.zeros(1, np.int64)
    rng = np.random.default_rng([seed, 1])
    for shard in range(shards):
        own = range(shard * _SHARD, min((shard + 1) * _SHARD, rows))
        vectors = _rows(rng, rng.integers(max(1, rows // _CLUSTER), size=len(own)), dim)
        results = [Embedded(row, 25.0, zero, zero, vectors[i : i + 1]) for i, row in enumerate(own)]
        write_shard(folder, shard, inputs, results, schema)
    pq.write_table(inputs, folder.inputs)
    write_json(folder.about, {**facts, "inputs": rows, "shards": shards})
    gather_failures(folder, shards)
    return folder


def forget_peak() -> None:
    """Makes `peak_mebibytes` begin anew (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mebibytes() -> float:
    """The most memory that this process has had resident (Linux; NaN elsewhere)."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024
    return float("nan")


def print_search_table(found: Sequence[SearchRow]) -> None:
    """Print the rows of `bench_search`."""
    print(
        f"{'index':8} {'rows':>10} {'dim':>5} {'build':>9} {'query':>10} {'recall@10':>10} {'MiB':>7} {'peak MiB':>9}"
    )
    for row in found:
        times = f"{row.build:7.1f} s {1000 * row.query:7.2f} ms"
        print(
            f"{row.kind:8} {row.rows:10,} {row.dim:5} {times} {row.recall:10.3f} {row.mebibytes:7.0f} {row.peak:9.0f}"
        )


def _rows(rng: np.random.Generator, cluster: np.ndarray, dim: int) -> np.ndarray:
    """One vector (N, D) of each of the clusters named; a centre follows from its number alone."""
    numbers, place = np.unique(cluster, return_inverse=True)
    centres = np.stack([np.random.default_rng([7, number]).standard_normal(dim, np.float32) for number in numbers])
    return centres[place] + rng.standard_normal((len(cluster), dim), np.float32)
