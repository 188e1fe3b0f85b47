"""Ranks of the correct matches, through FAISS, without sorting the gallery.

A match's rank is 1 + the number of valid gallery items that are more similar, so CMC, AP and mINP need no ranking list,
only counts. For each query FAISS's exact ``IndexFlatIP`` returns the items of a gallery block that may lie ahead of its
worst match (a range search whose threshold travels in an extra column), and the items are counted against the scores of
the query's matches. Memory is one block.

Order: larger similarity first; equal similarities (equal as float64 numbers) by place in the gallery, first come first.
Pairs that float32 cannot tell apart are compared exactly (``similarity.py``), hence the ranks are those of one full
stable sort in float64, whatever the blocks.
"""

from dataclasses import dataclass

import numpy as np

from specvid.eval.similarity import Similarity

GALLERY_BLOCK = 16384  # rows of one FAISS index
_RESULT_BYTES = 96 * 2**20  # what one range search may return: 12 bytes for each of its (query, item) pairs


@dataclass(frozen=True)
class Matches:
    """The correct matches of some queries, best first within a query.

    Attributes:
        query: (Q,) rows of the queries.
        start: (Q + 1,) query ``query[i]`` has the matches ``start[i] : start[i + 1]``.
        item: (P,) gallery rows.
        score: (P,) exact similarities.
    """

    query: np.ndarray
    start: np.ndarray
    item: np.ndarray
    score: np.ndarray


def order_matches(pair_query: np.ndarray, item: np.ndarray, score: np.ndarray) -> Matches:
    """Group the pairs ``(pair_query[p], item[p])`` by query and put the best first."""
    order = np.lexsort((item, -score, pair_query))
    query, start = np.unique(pair_query[order], return_index=True)
    return Matches(query=query, start=np.append(start, len(order)), item=item[order], score=score[order])


def count_ahead(
    similarity: Similarity,
    matches: Matches,
    *,
    gallery_rows: np.ndarray,
    query_code: np.ndarray,
    gallery_code: np.ndarray,
    block: int = GALLERY_BLOCK,
) -> np.ndarray:
    """How many wrong items are ranked ahead of each match.

    Args:
        similarity: of all queries with the whole gallery.
        matches: the correct matches of the queries to look at; each query has at least one.
        gallery_rows: (V,) ascending, the rows that take part (no junk).
        query_code: (Q,) identity of every query as an integer.
        gallery_code: (G,) identity of every gallery row; items of the query's own identity are right or junk, never
            wrong.
        block: gallery rows in memory at a time.

    Returns:
        (P,) int64, in the order of ``matches``.
    """
    import torch  # noqa: F401, I001  # FAISS after torch: two OpenMP runtimes in the other order can hang
    import faiss

    ahead = np.zeros(len(matches.item), np.int64)
    last = matches.score[matches.start[1:] - 1]
    bound = similarity.error_bound(matches.query, last)
    # Twice the bound below the worst match: everything that may be ahead of it is returned in spite of rounding.
    threshold = last - 2 * bound
    for begin in range(0, len(gallery_rows), block):
        rows = gallery_rows[begin : begin + block]
        code = gallery_code[rows]
        index = faiss.IndexFlatIP(similarity.width)
        index.add(similarity.gallery_block(rows))
        step = max(1, _RESULT_BYTES // (12 * len(rows)))
        for first in range(0, len(matches.query), step):
            part = slice(first, min(first + step, len(matches.query)))
            queries = matches.query[part]
            limit, excess, near = index.range_search(similarity.query_block(queries, threshold[part]), 0.0)
            for i, query in enumerate(queries, start=first):
                found = slice(int(limit[i - first]), int(limit[i - first + 1]))
                wrong = code[near[found]] != query_code[query]
                own = slice(matches.start[i], matches.start[i + 1])
                ahead[own] += _tally(
                    similarity, query, rows[near[found][wrong]], excess[found][wrong],
                    matches.item[own], matches.score[own], threshold[i], bound[i],
                )  # fmt: skip
    return ahead


def _tally(
    similarity: Similarity, query: int, item: np.ndarray, excess: np.ndarray,
    match: np.ndarray, score: np.ndarray, threshold: float, bound: float,
) -> np.ndarray:  # fmt: skip
    """(H,) wrong items of similarity ``threshold + excess`` ahead of each match of one query, best first."""
    rising = score[::-1]
    margin = rising - threshold
    edges = np.concatenate([margin - bound, margin + bound])
    order = np.argsort(edges, kind="stable")
    # After b edges, an item has passed `perhaps[b]` matches perhaps and `surely[b]` of them surely (counted from the
    # worst match up).
    perhaps = np.append(0, np.cumsum(order < len(rising)))
    surely = np.append(0, np.cumsum(order >= len(rising)))
    place = np.searchsorted(edges[order].astype(np.float32), excess)
    count = np.bincount(place, minlength=len(edges) + 1)
    passed = np.bincount(surely, weights=np.where(perhaps == surely, count, 0), minlength=len(rising) + 1)
    is_open = perhaps != surely
    if count[is_open].any():
        chosen = item[is_open[place]]
        value = similarity.exact(np.full(len(chosen), query), chosen)
        beaten = np.searchsorted(rising, value, side="left")
        tied = np.searchsorted(rising, value, side="right") > beaten
        if tied.any():
            same = rising[None, :] == value[tied, None]
            beaten[tied] += (same & (match[::-1][None, :] > chosen[tied, None])).sum(axis=1)
        passed += np.bincount(beaten, minlength=len(rising) + 1)
    # The match at place r (best first) is passed by whoever passes at least H - r matches.
    return np.cumsum(passed[::-1])[:-1].astype(np.int64)


def count_ahead_dense(
    distance: np.ndarray, matches: Matches, *, takes_part: np.ndarray, query_code: np.ndarray, gallery_code: np.ndarray
) -> np.ndarray:
    """``count_ahead`` where the distances stand already: ``distance`` (b, G) holds one row for each query of
    ``matches``.

    Scores are minus the distances; ``takes_part`` (G,) is False for junk.
    """
    ahead = np.zeros(len(matches.item), np.int64)
    for i, query in enumerate(matches.query):
        wrong = np.flatnonzero(takes_part & (gallery_code != query_code[query]))
        values = distance[i, wrong]
        for match in range(matches.start[i], matches.start[i + 1]):
            own = -matches.score[match]
            before = np.searchsorted(wrong, matches.item[match])
            ahead[match] = np.count_nonzero(values < own) + np.count_nonzero(values[:before] == own)
    return ahead
