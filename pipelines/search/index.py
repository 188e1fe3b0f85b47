"""FAISS indexes in the folder of a data set.

``index/flat.faiss`` holds the exact vectors; ``hnsw`` and ``ivfpq`` have a second file that finds candidates among
them. Both are memory-mapped when they are read.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: F401  # before FAISS: two OpenMP runtimes in the other order can hang

from specvid.pipelines.embed.folder import Folder, Rows
from specvid.pipelines.search.exact import best, exact_search

BLOCK = 4096  # rows; a copy of so many stays in the cache


@dataclass
class Index:
    """An index in memory or mapped; `search` is the only way in.

    Attributes:
        flat: FAISS index of the exact unit vectors.
        quick: FAISS index that finds candidates; None for kind ``flat``.
        metadata: index.json.
        owned: FAISS objects that others only point to.
    """

    flat: Any
    quick: Any
    metadata: dict[str, Any]
    owned: tuple[Any, ...] = ()

    def search(self, query_qd: np.ndarray, k: int, *, keep: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The rows most similar to each query.

        Args:
            query_qd: unit vectors (Q, D).
            k: how many rows.
            keep: bool (N,), a filter, with which the search is exact.

        Returns:
            Cosines (Q, k) and row numbers (Q, k), as `exact_search` returns them.
        """
        if self.quick is None or keep is not None:
            return exact_search(query_qd, self.blocks(), k, keep=keep)
        import faiss

        wanted = k
        if self.metadata["kind"] == "hnsw":
            self.quick.hnsw.efSearch = max(self.metadata["search"]["efSearch"], k)
        else:
            faiss.extract_index_ivf(self.quick).nprobe = self.metadata["search"]["nprobe"]
            wanted = k * self.metadata["search"]["refine"]
        _, candidates = self.quick.search(query_qd, min(max(wanted, k), self.flat.ntotal))
        scores = np.full(candidates.shape, -np.inf, np.float32)
        for query, rows, line in zip(query_qd, candidates, scores, strict=True):
            line[rows >= 0] = self.vectors[rows[rows >= 0]] @ query
        order = best(scores, min(k, scores.shape[1]))
        return np.take_along_axis(scores, order, 1), np.take_along_axis(candidates, order, 1)

    @property
    def vectors(self) -> np.ndarray:
        """The unit vectors (N, D), a view of the mapped file."""
        import faiss

        count, dim = self.flat.ntotal, self.flat.d
        return faiss.rev_swig_ptr(self.flat.get_xb(), count * dim).reshape(count, dim)

    def blocks(self) -> Iterator[np.ndarray]:
        """The unit vectors block by block, aligned: in a mapped file they are not, and numpy multiplies such ones
        many times slower than it copies them.
        """
        vectors = self.vectors
        for start in range(0, len(vectors), BLOCK):
            block = vectors[start : start + BLOCK]
            yield block if block.flags.aligned else block.view(np.uint8).copy().view(np.float32)


def metadata_file(folder: Folder) -> Path:
    """index.json of a folder; it need not be there."""
    return folder.path / "index" / "index.json"


def open_index(folder: Folder, rows: Rows) -> Index | None:
    """Open the index of a folder, memory-mapped.

    Args:
        folder: a folder of embeddings.
        rows: its rows.

    Returns:
        The index, None where there is none.

    Raises:
        ValueError: the data set changed since it was built.
    """
    import faiss

    file = metadata_file(folder)
    if not file.exists():
        return None
    metadata = json.loads(file.read_text(encoding="utf-8"))
    if metadata["parts"] != rows.state():
        raise ValueError(
            f"{file.parent} is of other embeddings than those in the folder: `specvid search build` again."
        )
    flat = faiss.read_index(str(file.parent / "flat.faiss"), faiss.IO_FLAG_MMAP_IFC)
    quick: Any = None
    if metadata["kind"] != "flat":
        quick = faiss.read_index(str(file.parent / f"{metadata['kind']}.faiss"), faiss.IO_FLAG_MMAP_IFC)
    if metadata["kind"] == "hnsw":  # its file holds the graph only
        quick.storage, quick.own_fields = flat, False
    return Index(flat, quick, metadata)
