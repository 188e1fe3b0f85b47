"""What is ranked first for each query, junk among it, and mAP by the cameras of query and gallery: to be looked at.

``score_reid`` needs no sorted gallery; this sorts it, some queries at a time. The order is that of similarities in
float32, equal ones by place in the gallery, so a list may differ from the scored ranks where two scores are equal to
seven digits.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from specvid.eval.reid.features import ReidFeatures
from specvid.eval.reid.labels import encode
from specvid.eval.reid.matches import find_matches, rows_of
from specvid.eval.reid.protocols import get_protocol
from specvid.eval.reid.rerank import KReciprocal
from specvid.eval.similarity import Similarity

WRONG, RIGHT, JUNK, ABSENT = range(4)
"""What a gallery tracklet is to a query: a wrong item, a match, ignored, or left out of the protocol's gallery."""

_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class RankedList:
    """The items ranked first for a query.

    Attributes:
        items: (n,) gallery rows, best first.
        scores: (n,) similarities; of re-ranked lists minus the distance.
        kinds: (n,) `WRONG`, `RIGHT` or `JUNK`.
    """

    items: np.ndarray
    scores: np.ndarray
    kinds: np.ndarray


@dataclass(frozen=True)
class RankedLists:
    """The lists of all queries, and what cameras have to do with them.

    Attributes:
        lists: one for each query.
        query_cameras: names, of the rows of the two matrices.
        gallery_cameras: names, of the columns.
        mean_ap: (A, B) mAP of the queries of a camera against the gallery of another one alone; NaN without a match.
        queries: (A, B) how many queries that is the mean of.
    """

    lists: list[RankedList]
    query_cameras: list[str]
    gallery_cameras: list[str]
    mean_ap: np.ndarray
    queries: np.ndarray


def rank_lists(
    features: ReidFeatures,
    protocol: str,
    *,
    metric: str = "cosine",
    rerank: KReciprocal | None = None,
    most: int = 10,
    junk: int = 4,
) -> RankedLists:
    """Rank the gallery for every query.

    Args:
        features: queries and gallery. A query's own gallery row is in no list.
        protocol: one of ``specvid.eval.PROTOCOLS``.
        metric: ``cosine`` or ``euclidean``.
        rerank: how to re-rank.
        most: items that count in a list.
        junk: items of junk in a list at most.

    Returns:
        The lists.

    Raises:
        NoMatchError: no query has a match under this protocol.
        ValueError: an unknown protocol, or features and labels that do not fit.
    """
    rules = get_protocol(protocol)
    similarity = Similarity(features.query, features.gallery, metric=metric)
    queries, items = len(similarity.query), len(similarity.gallery)
    ids = encode(features.query_ids, features.gallery_ids, queries, items, "ids")
    cams = encode(features.query_cams, features.gallery_cams, queries, items, "cameras")
    own = np.full(queries, -1) if features.query_index is None else np.asarray(features.query_index)
    left_out = rows_of(own, queries, items) if rules.leaves_out_queries else np.zeros(items, bool)
    part = find_matches(rules, ids, cams, left_out)
    rows, columns = np.unique(cams.query), np.unique(cams.gallery[part.valid])
    sums, counts = np.zeros((2, len(rows), len(columns)))
    lists: list[RankedList] = []
    for numbers, scores in _score_blocks(similarity, rerank, np.flatnonzero(part.in_gallery)):
        for query, score in zip(numbers.tolist(), scores, strict=True):
            same = ids.gallery == ids.query[query]
            hidden = ~part.valid | (same & (cams.gallery == cams.query[query]))
            kind = np.where(part.in_gallery, np.where(hidden, JUNK, np.where(same, RIGHT, WRONG)), ABSENT)
            if own[query] >= 0:
                kind[own[query]] = ABSENT
            order = np.argsort(-score, kind="stable")
            order = order[kind[order] != ABSENT]
            lists.append(_first(order, score, kind[order], most, junk))
            counted = order[kind[order] != JUNK]
            row = np.searchsorted(rows, cams.query[query])
            for column, camera in enumerate(columns):
                hits = kind[counted[cams.gallery[counted] == camera]] == RIGHT
                if hits.any():
                    sums[row, column] += average_precision(hits, rules.ap)
                    counts[row, column] += 1
    mean = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    query_cameras, gallery_cameras = ([str(cams.names[code]) for code in codes] for codes in (rows, columns))
    return RankedLists(lists, query_cameras, gallery_cameras, mean, counts.astype(np.int64))


def average_precision(hits: np.ndarray, definition: str) -> float:
    """Average precision of a ranking.

    Args:
        hits: (n,) bool, whether the item at each rank is a match; at least one is.
        definition: ``mean-precision`` or ``trapezoid``, as in `specvid.eval.reid.protocols.Protocol`.

    Returns:
        It, a share.
    """
    rank = np.flatnonzero(hits) + 1
    number = np.arange(1, len(rank) + 1)
    precision = number / rank
    if definition == "trapezoid":
        precision = (np.where(rank > 1, (number - 1) / np.maximum(rank - 1, 1), 1.0) + precision) / 2
    return float(precision.mean())


def _first(order: np.ndarray, score: np.ndarray, kind: np.ndarray, most: int, junk: int) -> RankedList:
    """The first items of a ranking: ``most`` that count, and up to ``junk`` of junk among them."""
    counts, ignored = np.cumsum(kind != JUNK), np.cumsum(kind == JUNK)
    shown = (counts <= most) & ((kind != JUNK) | ((ignored <= junk) & (counts < most)))
    return RankedList(order[shown], score[order[shown]], kind[shown])


def _score_blocks(
    similarity: Similarity, rerank: KReciprocal | None, present: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Some queries at a time with their scores (b, G); -inf of what is not in the gallery, where it is re-ranked."""
    queries, items = len(similarity.query), len(similarity.gallery)
    if rerank is not None:
        of_present = Similarity(similarity.query, similarity.gallery[present], metric=similarity.metric)
        for numbers, distance in rerank.distance_blocks(of_present):
            scores = np.full((len(numbers), items), -np.inf)
            scores[:, present] = -distance
            yield numbers, scores
        return
    gallery = similarity.gallery_lines(np.arange(items))
    step = max(1, _BLOCK_BYTES // (4 * items))
    for first in range(0, queries, step):
        numbers = np.arange(first, min(first + step, queries))
        yield numbers, similarity.block(similarity.query_lines(numbers), gallery)
