"""The k most similar gallery items of each query: FAISS's exact search over gallery blocks, reordered in float64."""

from typing import Any

import numpy as np

from specvid.eval.similarity import GALLERY_BLOCK, Similarity

_QUERY_BLOCK = 4096


def nearest(
    query: Any, gallery: Any, k: int, *, metric: str = "cosine", spare: int = 16, block: int = GALLERY_BLOCK
) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` most similar gallery rows of each query, best first; equal similarities by place in the gallery.

    Args:
        query: (Q, D) features.
        gallery: (G, D) features.
        k: how many; at most G are returned.
        metric: ``cosine`` or ``euclidean`` (the similarity is then minus the squared distance).
        spare: candidates beyond ``k`` that are compared exactly, because float32 may have put them in the wrong order.
        block: gallery rows in memory at a time.

    Returns:
        Similarities (Q, k) float64 and gallery rows (Q, k) int64.

    Raises:
        ValueError: ``k`` below 1, or features that do not fit.
    """
    if k < 1:
        raise ValueError(f"k is {k}; at least one neighbour must be asked for")
    return nearest_of(Similarity(query, gallery, metric=metric), k, spare=spare, block=block)


def nearest_of(
    similarity: Similarity, k: int, *, spare: int = 16, block: int = GALLERY_BLOCK
) -> tuple[np.ndarray, np.ndarray]:
    """``nearest`` for a ``Similarity`` that was made already.

    Args:
        similarity: of the queries with the gallery.
        k: how many; at most G are returned.
        spare: candidates beyond ``k`` that are compared exactly.
        block: gallery rows in memory at a time.

    Returns:
        Similarities (Q, k) float64 and gallery rows (Q, k) int64.
    """
    import torch  # noqa: F401, I001  # FAISS after torch: two OpenMP runtimes in the other order can hang
    import faiss

    queries, items, dims = len(similarity.query), *similarity.gallery.shape
    k = min(k, items)
    wanted = min(k + spare, items)
    is_cosine = similarity.metric == "cosine"
    heap = faiss.ResultHeap(queries, wanted, keep_max=is_cosine)
    for begin in range(0, items, block):
        rows = np.arange(begin, min(begin + block, items))
        index = faiss.IndexFlatIP(dims) if is_cosine else faiss.IndexFlatL2(dims)
        index.add(similarity.gallery_lines(rows))
        for first in range(0, queries, _QUERY_BLOCK):
            part = np.arange(first, min(first + _QUERY_BLOCK, queries))
            values, places = index.search(similarity.query_lines(part), min(wanted, len(rows)))
            heap.add_result_subset(part, values, places + begin)
    heap.finalize()
    candidates = heap.I
    exact = similarity.exact(np.repeat(np.arange(queries), wanted), candidates.reshape(-1)).reshape(queries, wanted)
    order = np.lexsort((candidates, -exact), axis=1)[:, :k]
    return np.take_along_axis(exact, order, 1), np.take_along_axis(candidates, order, 1)


def farthest_of(similarity: Similarity, *, block: int = _QUERY_BLOCK) -> np.ndarray:
    """Similarity of each query with its least similar gallery item.

    Args:
        similarity: of the queries with the gallery.
        block: gallery rows in memory at a time.

    Returns:
        (Q,) float64.
    """
    queries, items = len(similarity.query), len(similarity.gallery)
    least = np.full(queries, np.inf, np.float32)
    which = np.zeros(queries, np.int64)
    for begin in range(0, items, block):
        lines = similarity.gallery_lines(np.arange(begin, min(begin + block, items)))
        for first in range(0, queries, _QUERY_BLOCK):
            part = np.arange(first, min(first + _QUERY_BLOCK, queries))
            scores = similarity.block(similarity.query_lines(part), lines)
            place = scores.argmin(axis=1)
            score = scores[np.arange(len(part)), place]
            lower = score < least[part]
            least[part[lower]] = score[lower]
            which[part[lower]] = place[lower] + begin
    return similarity.exact(np.arange(queries), which)
