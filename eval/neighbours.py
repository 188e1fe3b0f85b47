"""Nearest and farthest gallery items of each query: found quickly in float32, decided in float64.

Float32 similarities from FAISS name the candidates. Those that float32 cannot distinguish are compared exactly
(``similarity.py``), and equal similarities go by place in the gallery. So nothing depends on block sizes or threads.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from specvid.eval.similarity import GALLERY_BLOCK, Similarity, warn_of_zeros

_QUERY_BLOCK = 4096
_FEW_QUERIES = 128  # at a time, where many gallery items may have to be compared exactly


def nearest(
    query: Any, gallery: Any, k: int, *, metric: str = "cosine", spare: int = 16, block: int = GALLERY_BLOCK
) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` most similar gallery rows of each query, best first; equal similarities by place in the gallery.

    Args:
        query: (Q, D) features.
        gallery: (G, D) features.
        k: how many; at most G are returned.
        metric: ``cosine`` or ``euclidean`` (the similarity is then minus the squared distance).
        spare: candidates beyond ``k`` that are compared exactly. Where they are too few to be certain of the ``k``, the
            query is compared with the whole gallery once more: more of them change the time, never the result.
        block: gallery rows in memory at a time.

    Returns:
        Similarities (Q, k) float64 and gallery rows (Q, k) int64.

    Raises:
        ValueError: ``k`` below 1, or features that do not fit.

    Warns:
        SpecvidWarning: some features are zero.
    """
    if k < 1:
        raise ValueError(f"k is {k}; at least one neighbour must be asked for")
    similarity = Similarity(query, gallery, metric=metric)
    warn_of_zeros(similarity)
    return nearest_of(similarity, k, spare=spare, block=block)


def nearest_of(
    similarity: Similarity, k: int, *, spare: int = 16, block: int = GALLERY_BLOCK
) -> tuple[np.ndarray, np.ndarray]:
    """``nearest`` for a ``Similarity`` that was made already.

    Args:
        similarity: of the queries with the gallery.
        k: how many; at most G are returned.
        spare: candidates beyond ``k`` that are compared exactly at once.
        block: gallery rows in memory at a time.

    Returns:
        Similarities (Q, k) float64 and gallery rows (Q, k) int64.
    """
    queries, items = len(similarity.query), len(similarity.gallery)
    k = min(k, items)
    wanted = min(k + spare, items)
    coarse, candidates = _search(similarity, wanted, block)
    exact = similarity.exact(np.repeat(np.arange(queries), wanted), candidates.reshape(-1)).reshape(queries, wanted)
    order = np.lexsort((candidates, -exact), axis=1)[:, :k]
    scores, rows = np.take_along_axis(exact, order, 1), np.take_along_axis(candidates, order, 1)
    if wanted < items:
        # Whatever is no candidate is at most as similar as the last candidate seems, and the error of that.
        reach = coarse[:, -1] + similarity.error_bound(np.arange(queries))
        unsure = np.flatnonzero(reach >= scores[:, -1])
        for first in range(0, len(unsure), _FEW_QUERIES):
            part = unsure[first : first + _FEW_QUERIES]
            scores[part], rows[part] = _nearest_exactly(similarity, part, scores[part, -1], k, block)
    return scores, rows


def _search(similarity: Similarity, wanted: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """FAISS's float32 similarities (Q, wanted) and rows of the most similar items, best first, over gallery blocks."""
    import torch  # noqa: F401, I001  # FAISS after torch: two OpenMP runtimes in the other order can hang
    import faiss

    queries, items, dims = len(similarity.query), *similarity.gallery.shape
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
    return heap.D if is_cosine else -heap.D, heap.I


def _nearest_exactly(
    similarity: Similarity, part: np.ndarray, least: np.ndarray, k: int, block: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and rows (b, k) of the queries ``part``, of whom ``k`` items at least as similar as ``least`` (b,) are
    known: everything that may reach ``least`` is compared exactly.
    """
    lines, edge = similarity.query_lines(part), _rounded_down(least - similarity.error_bound(part))
    line, item, score = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    for begin in range(0, len(similarity.gallery), block):
        rows = np.arange(begin, min(begin + block, len(similarity.gallery)))
        coarse = similarity.block(lines, similarity.gallery_lines(rows))
        near, place = np.nonzero(coarse >= edge[:, None])
        line, item = np.append(line, near), np.append(item, rows[place])
        score = np.append(score, similarity.exact_of_ties(part[near], rows[place]))
        order = np.lexsort((item, -score, line))
        line, item, score = line[order], item[order], score[order]
        is_best = np.arange(len(line)) - np.searchsorted(line, line) < k
        line, item, score = line[is_best], item[is_best], score[is_best]
    return score.reshape(len(part), k), item.reshape(len(part), k)


def extreme_of(
    similarity: Similarity,
    *,
    farthest: bool = False,
    hidden: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    block: int = _QUERY_BLOCK,
) -> tuple[np.ndarray, np.ndarray]:
    """The one most (or least) similar gallery item of each query; equal similarities by place in the gallery.

    Args:
        similarity: of the queries with the gallery.
        farthest: the least similar one instead.
        hidden: called with query rows (b,) and gallery rows (n,); returns which pairs (b, n) do not count. Each query
            must have one that counts.
        block: gallery rows in memory at a time.

    Returns:
        Similarities (Q,) float64 and gallery rows (Q,) int64.
    """
    sign = -1 if farthest else 1
    queries, items = len(similarity.query), len(similarity.gallery)
    coarse_best = np.full(queries, -np.inf)
    best, where = np.full(queries, -np.inf), np.zeros(queries, np.int64)
    for begin in range(0, items, block):
        rows = np.arange(begin, min(begin + block, items))
        gallery_lines = similarity.gallery_lines(rows)
        for first in range(0, queries, _QUERY_BLOCK):
            part = np.arange(first, min(first + _QUERY_BLOCK, queries))
            coarse = similarity.block(similarity.query_lines(part), gallery_lines)
            coarse = np.negative(coarse, out=coarse) if farthest else coarse
            if hidden is not None:
                coarse[hidden(part, rows)] = -np.inf
            coarse_best[part] = np.maximum(coarse_best[part], coarse.max(axis=1))
            # The best item seems at most one error worse than it is, and the one that seems best one error better.
            edge = _rounded_down(coarse_best[part] - 2 * similarity.error_bound(part))
            for start in range(0, len(part), _FEW_QUERIES):
                some = slice(start, start + _FEW_QUERIES)
                line, place = np.nonzero(coarse[some] >= edge[some, None])
                query = part[some][line]
                exact = sign * similarity.exact_of_ties(query, rows[place])
                order = np.lexsort((place, -exact, query))
                query, first_of_query = np.unique(query[order], return_index=True)
                chosen = order[first_of_query]
                better = exact[chosen] > best[query]
                best[query[better]] = exact[chosen][better]
                where[query[better]] = rows[place[chosen]][better]
    return sign * best, where


def _rounded_down(values: np.ndarray) -> np.ndarray:
    """The next float32 below each value, but no infinity, which is the mark of what does not count."""
    lower = np.nextafter(values.astype(np.float32), np.float32(-np.inf))
    return np.maximum(lower, np.finfo(np.float32).min)
