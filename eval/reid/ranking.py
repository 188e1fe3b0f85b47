"""Ranks of the correct matches, without sorting the gallery.

A match's rank is 1 + the number of valid gallery items that are more similar. So CMC, AP and mINP need no ranking list,
only counts: FAISS gives the similarities of a block of queries and gallery items, and each match's score is counted
against them. (Letting ``IndexFlatIP.search`` sort the whole gallery costs five times the product on MARS.) Memory is
one block, whatever the size of the gallery.

Order: larger similarity first; equal similarities (equal as float64 numbers) by place in the gallery, first come first.
Pairs that float32 cannot distinguish are compared exactly (``similarity.py``), hence the ranks are those of one full
stable sort in float64, whatever the blocks.
"""

from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from specvid.eval.similarity import GALLERY_BLOCK, Similarity

_BLOCK_BYTES = 32 * 2**20  # of one block of similarities: memory that is used again is quicker than new memory
_ROWS = 32  # queries that a thread counts at a time
_FEW = 10  # up to so many matches it is quicker to count each than to sort the block's row
_SMALL_PART = 8  # less than this part of the row is worth to be picked out before it is sorted
_SAMPLES = 64  # measured rounding errors that are trusted instead of the bound in theory
_SAFETY = 8.0  # times the largest measured error; the errors are sums of thousands of roundings, with a Gaussian's tail


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

    def part(self, first: int, last: int) -> "Matches":
        """The matches of some of these queries.

        Args:
            first: place of the first query.
            last: place after the last query.
        """
        start = self.start[first : last + 1]
        pairs = slice(start[0], start[-1])
        return Matches(self.query[first:last], start - start[0], self.item[pairs], self.score[pairs])


def order_matches(pair_query: np.ndarray, item: np.ndarray, score: np.ndarray) -> Matches:
    """Group pairs by query and put the best first.

    Args:
        pair_query: (P,) query row of each pair.
        item: (P,) its gallery row.
        score: (P,) its exact similarity.
    """
    order = np.lexsort((item, -score, pair_query))
    query, start = np.unique(pair_query[order], return_index=True)
    return Matches(query=query, start=np.append(start, len(order)), item=item[order], score=score[order])


@dataclass(frozen=True)
class Pairs:
    """Pairs of a query and a gallery row of the same identity, matches or junk: never wrong items.

    Attributes:
        query: (P,) rows of the queries, sorted.
        item: (P,) gallery rows.
    """

    query: np.ndarray
    item: np.ndarray

    def lines_of(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of some queries.

        Args:
            queries: rows of queries, ascending.

        Returns:
            For each pair of these queries the place of the query among them, and the gallery row.
        """
        near = slice(*np.searchsorted(self.query, [queries[0], queries[-1] + 1]))
        line = np.searchsorted(queries, self.query[near])
        is_one = queries[np.minimum(line, len(queries) - 1)] == self.query[near]
        return line[is_one], self.item[near][is_one]


def count_ahead(
    similarity: Similarity, matches: Matches, own: Pairs, *, gallery_rows: np.ndarray, block: int = GALLERY_BLOCK
) -> np.ndarray:
    """How many wrong items are ranked ahead of each match.

    Args:
        similarity: of all queries with the whole gallery.
        matches: the correct matches of the queries to look at; each query has at least one.
        own: all pairs of these queries with ``gallery_rows`` of their own identity, under any camera.
        gallery_rows: (V,) ascending, the rows that take part (no junk).
        block: gallery rows in memory at a time.

    Returns:
        (P,) int64, in the order of ``matches``.
    """
    import torch

    ahead = np.zeros(len(matches.item), np.int64)
    step = max(1, _BLOCK_BYTES // (4 * min(block, len(gallery_rows))))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for first in range(0, len(matches.query), step):
            part = matches.part(first, min(first + step, len(matches.query)))
            lines = similarity.query_lines(part.query)
            bound = similarity.error_bound(part.query)
            line, item = own.lines_of(part.query)
            for begin in range(0, len(gallery_rows), block):
                rows = gallery_rows[begin : begin + block]
                scores = similarity.block(lines, similarity.gallery_lines(rows))
                here = (item >= rows[0]) & (item <= rows[-1])
                own_line, own_place = line[here], np.searchsorted(rows, item[here])
                margin = _measured(similarity, scores, part.query, bound, own_line, own_place, rows)
                scores[own_line, own_place] = -np.inf
                counts = ahead[matches.start[first] : matches.start[first] + len(part.item)]
                _add_counts(counts, similarity, part, rows, scores, margin, pool)
    return ahead


def _add_counts(
    ahead: np.ndarray, similarity: Similarity, matches: Matches, rows: np.ndarray, scores: np.ndarray,
    margin: np.ndarray, pool: Executor,
) -> None:  # fmt: skip
    """Add to ``ahead`` how many of the items ``rows`` lie ahead of each match, some queries a thread at a time."""

    def count(start: int) -> None:
        for i in range(start, min(start + _ROWS, len(matches.query))):
            mine = slice(matches.start[i], matches.start[i + 1])
            ahead[mine] += _tally(
                similarity, matches.query[i], rows, scores[i], matches.item[mine], matches.score[mine], margin[i]
            )

    list(pool.map(count, range(0, len(matches.query), _ROWS)))


def _measured(
    similarity: Similarity,
    scores: np.ndarray,
    queries: np.ndarray,
    bound: np.ndarray,
    line: np.ndarray,
    place: np.ndarray,
    rows: np.ndarray,
) -> np.ndarray:
    """The bound (b,) on the rounding of this block, cut down to what its own pairs show: theory is far too careful."""
    if len(line) < _SAMPLES:
        return bound
    chosen = np.linspace(0, len(line) - 1, min(len(line), 8 * _SAMPLES)).astype(np.int64)
    line, place = line[chosen], place[chosen]
    error = np.abs(scores[line, place] - similarity.exact(queries[line], rows[place]))
    return bound * min(1.0, _SAFETY * float((error / bound[line]).max()) + 0.001)


def _tally(
    similarity: Similarity,
    query: int,
    rows: np.ndarray,
    scores: np.ndarray,
    match: np.ndarray,
    value: np.ndarray,
    margin: float,
) -> np.ndarray:
    """(H,) how many of the items ``rows`` lie ahead of each match of one query; a score of -inf hides an item."""
    above, below = (value + margin).astype(np.float32), (value - margin).astype(np.float32)
    in_reach = scores >= below[-1]  # the edge of the last match, the lowest one
    count = np.count_nonzero(in_reach)
    if len(match) <= _FEW and count * _SMALL_PART > len(scores):
        surely = np.array([np.count_nonzero(scores > edge) for edge in above])
        perhaps = np.array([np.count_nonzero(scores >= edge) for edge in below])
    else:
        rising = np.sort(scores if count * _SMALL_PART > len(scores) else scores[in_reach])
        surely = len(rising) - np.searchsorted(rising, above, side="right")
        perhaps = len(rising) - np.searchsorted(rising, below, side="left")
    for i in np.flatnonzero(perhaps > surely):
        near = rows[(scores >= below[i]) & (scores <= above[i])]
        exact = similarity.exact_of_ties(np.full(len(near), query), near)
        surely[i] += np.count_nonzero((exact > value[i]) | ((exact == value[i]) & (near < match[i])))
    return surely


def count_ahead_dense(
    distance: np.ndarray, matches: Matches, *, takes_part: np.ndarray, query_code: np.ndarray, gallery_code: np.ndarray
) -> np.ndarray:
    """``count_ahead`` for distances that are known already; scores are minus these distances.

    Args:
        distance: (b, G), a row for each query of ``matches``.
        matches: the correct matches of these queries.
        takes_part: (G,) bool, False for junk.
        query_code: (Q,) identity of each query, as a number.
        gallery_code: (G,) identity of each gallery row.

    Returns:
        (P,) int64, in the order of ``matches``.
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
