"""FAISS indexes in the folder of a data set.

``index/flat.faiss`` holds the exact vectors; ``hnsw`` and ``ivfpq`` have a second file that finds candidates among
them. Both are memory-mapped when they are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: F401  # before FAISS: two OpenMP runtimes in the other order can hang

from specvid.files import current
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import Rows
from specvid.pipelines.search.checksums import is_as_written
from specvid.pipelines.search.exact import best, exact_search
from specvid.pipelines.search.parameters import KINDS
from specvid.reading import read_json

INDEX, METADATA = "index", "index.json"  # the folder of an index in that of its data set, and its description in it
_SAMPLE = 1024  # vectors that are looked at when an index is opened
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

    def search(self, query_qd: np.ndarray, k: int, *, mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The rows most similar to each query.

        Args:
            query_qd: unit vectors (Q, D).
            k: how many rows.
            mask: bool (N,), a filter, with which the search is exact.

        Returns:
            Cosines (Q, k) and row numbers (Q, k), as `exact_search` returns them.
        """
        if self.quick is None or mask is not None:
            return exact_search(query_qd, self.blocks(), k, mask=mask)
        import faiss

        wanted = k
        if self.metadata["kind"] == "hnsw":
            self.quick.hnsw.efSearch = max(self.metadata["search"]["efSearch"], k)
        else:
            faiss.extract_index_ivf(self.quick).nprobe = self.metadata["search"]["nprobe"]
            wanted = k * self.metadata["search"]["refine"]
        _, candidates = self.quick.search(query_qd, min(max(wanted, k), self.flat.ntotal))
        if candidates.max(initial=-1) >= self.flat.ntotal:
            raise ValueError("the index names rows that the data set does not have. Build it again.")
        scores = np.full(candidates.shape, -np.inf, np.float32)
        for query, rows, line in zip(query_qd, candidates, scores, strict=True):
            line[rows >= 0] = self.vectors[rows[rows >= 0]] @ query
        if not np.isfinite(scores[candidates >= 0]).all():
            raise ValueError("vectors are not finite: the index was altered. Build it again: `specvid search build`.")
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


def open_index(folder: Folder, rows: Rows) -> Index | None:
    """Open the index of a folder, memory-mapped.

    Args:
        folder: a folder of embeddings.
        rows: its rows.

    Returns:
        The index; None where there is none, or where a deletion was stopped before it was built anew.

    Raises:
        ValueError: the data set changed since it was built, or the index is damaged or altered.
    """
    import faiss

    file = current(folder.path / INDEX) / METADATA
    if not file.exists():
        return None
    metadata = read_json(file)
    if metadata.get("parts") != rows.state():
        if _is_being_deleted(folder, metadata.get("parts"), rows):
            return None
        raise ValueError(
            f"{file.parent} is of other embeddings than those in the folder: `specvid search build` again."
        )
    kind, written = metadata.get("kind"), metadata.get("files")
    if kind not in KINDS or metadata.get("metric") != "cosine" or not isinstance(written, dict):
        raise _altered(file, f"kind {kind!r} and metric {metadata.get('metric')!r} are none of this version")
    _check_search(metadata, file)
    names = ["flat.faiss"] if kind == "flat" else ["flat.faiss", f"{kind}.faiss"]
    for name in names:
        if not is_as_written(file.parent / name, written.get(name)):
            raise _altered(file.parent / name, "its checksum is another one than that in index.json")
    try:
        flat = faiss.read_index(str(file.parent / names[0]), faiss.IO_FLAG_MMAP_IFC)
        quick: Any = None
        if kind != "flat":
            quick = faiss.read_index(str(file.parent / names[1]), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:  # what FAISS raises
        raise _altered(file.parent, str(error).splitlines()[-1][:160]) from None
    # Checksums can be made anew: what FAISS would believe is held against the data set too.
    fits = type(flat) in (faiss.IndexFlat, faiss.IndexFlatIP) and flat.metric_type == faiss.METRIC_INNER_PRODUCT
    kinds = {"hnsw": (faiss.IndexHNSWFlat,), "ivfpq": (faiss.IndexIVFPQ, faiss.IndexPreTransform)}
    fits = fits and (quick is None or type(quick) in kinds[kind])
    if not fits or any((part.ntotal, part.d) != (len(rows), rows.dim) for part in (flat, quick) if part is not None):
        raise _altered(file.parent, f"it is not of {len(rows)} rows of length {rows.dim} compared by cosine")
    if kind == "hnsw":  # its file holds the graph only
        quick.storage, quick.own_fields = flat, True  # setting it took the vectors from Python: else nobody frees them
    index = Index(flat, quick, metadata)
    some = index.vectors[np.unique(np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(np.int64))]
    lengths = np.linalg.norm(some, axis=1)
    if not ((np.abs(lengths - 1) < 0.01) | (lengths == 0)).all():  # no NaN passes either
        raise _altered(file.parent, "its vectors are not finite, or not of unit length")
    return index


def _is_being_deleted(folder: Folder, parts: Any, rows: Rows) -> bool:
    """Whether an index is of these rows and of more, of inputs that are deleted: then every row is compared."""
    if not folder.deleted_ids() or not isinstance(parts, list) or len(parts) != len(rows.parts):
        return False
    pairs = zip(parts, rows.state(), strict=True)
    return all(
        isinstance(old, list) and len(old) == 3 and isinstance(old[2], int) and (old == new or old[2] > new[2])
        for old, new in pairs
    )


def _check_search(metadata: dict[str, Any], file: Path) -> None:
    """ValueError where index.json lacks what the search takes from it."""
    wanted = {"flat": (), "hnsw": ("efSearch",), "ivfpq": ("nprobe", "refine")}[metadata["kind"]]
    given = metadata.get("search")
    for name in wanted:
        value = given.get(name) if isinstance(given, dict) else None
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 2**20:
            raise _altered(file, f"{name} is {value!r}")


def _altered(path: Path, why: str) -> ValueError:
    return ValueError(f"{str(path)!r} is damaged, or was altered: {why}. Build it again: `specvid search build`.")
