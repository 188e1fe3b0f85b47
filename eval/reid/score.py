"""``score_reid``: mAP, mINP and CMC of a query set against a gallery, under a named protocol."""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from specvid.errors import SpecvidWarning
from specvid.eval.reid.labels import Labels, encode
from specvid.eval.reid.matches import Participants, find_matches, rows_of
from specvid.eval.reid.protocols import get_protocol
from specvid.eval.reid.ranking import Matches, Pairs, count_ahead, count_ahead_dense, order_matches
from specvid.eval.reid.result import CMC_LENGTH, ReidScore
from specvid.eval.similarity import GALLERY_BLOCK, Similarity, warn_of_zeros

if TYPE_CHECKING:
    from specvid.eval.reid.rerank import KReciprocal

_PAIRS = 2**22  # correct matches in memory at a time


def score_reid(
    query: Any,
    gallery: Any,
    query_ids: Any,
    gallery_ids: Any,
    query_cams: Any,
    gallery_cams: Any,
    *,
    protocol: str = "mars",
    query_index: Any = None,
    metric: str = "cosine",
    rerank: "KReciprocal | None" = None,
    block: int = GALLERY_BLOCK,
) -> ReidScore:
    """Score a re-identification gallery.

    The ranking is by the float64 similarity of the features as given, larger first, equal ones by place in the gallery;
    it does not depend on ``block``. Features of unit length (within 1e-3) are taken as they are, others are normalised
    for ``cosine``.

    Args:
        query: (Q, D) features, array or tensor.
        gallery: (G, D) features. For the three MARS protocols: all test tracklets, the queries among them.
        query_ids: (Q,) identities, integers or strings.
        gallery_ids: (G,) identities. Under the MARS protocols -1 is junk; 0, the distractors, match nobody because no
            query has that id.
        query_cams: (Q,) cameras, integers or strings.
        gallery_cams: (G,) cameras.
        protocol: one of ``specvid.eval.PROTOCOLS``.
        query_index: (Q,) gallery row of each query (from 0, negative: not in the gallery), for ``mars-noquery``. By
            default the gallery rows with a query's identity, camera and features, which warns where it does not find
            all.
        metric: ``cosine``, or ``euclidean`` for features that are not to be normalised.
        rerank: k-reciprocal re-ranking; by default none.
        block: gallery rows in memory at a time.

    Returns:
        A ``ReidScore``.

    Raises:
        NoMatchError: no query has a correct match; the message names the cause.
        ValueError: an unknown protocol, or features and labels that do not fit.

    Warns:
        SpecvidWarning: some features are zero, which is like nothing for ``cosine``; queries that are not found in the
            gallery for ``mars-noquery``; more than one match a query where the protocol means one.
    """
    rules = get_protocol(protocol)
    if block < 1:
        raise ValueError(f"block is {block}; at least one gallery row must be in memory")
    if not (rerank is None or hasattr(rerank, "distance_blocks")):
        raise ValueError(f"rerank is {rerank!r}; it must be None, or KReciprocal() of specvid.eval")
    similarity = Similarity(query, gallery, metric=metric)
    warn_of_zeros(similarity)
    ids = encode(query_ids, gallery_ids, len(similarity.query), len(similarity.gallery), "ids")
    cams = encode(query_cams, gallery_cams, len(similarity.query), len(similarity.gallery), "cameras")
    left_out = np.zeros(len(similarity.gallery), bool)
    if rules.leaves_out_queries:
        left_out = _rows_of_queries(similarity, ids, cams, query_index)
    gallery_part = find_matches(rules, ids, cams, left_out)
    junk, in_gallery, counts = gallery_part.junk, gallery_part.in_gallery, gallery_part.counts

    figures = np.zeros((4, len(similarity.query)))
    for matches, ahead in _ranked(similarity, ids, cams, gallery_part, rerank, block):
        figures[:, matches.query] = _figures(matches.start, ahead, rules.ap)
    ap, inp, first_rank, last_rank = figures
    valid = counts > 0
    if rules.splits > 1 and (counts > 1).any():
        warnings.warn(
            f"protocol {protocol} means one match a query, but {(counts > 1).sum()} queries have more",
            SpecvidWarning,
            stacklevel=2,
        )
    reached = np.bincount(np.minimum(first_rank[valid].astype(np.int64), CMC_LENGTH + 1), minlength=CMC_LENGTH + 2)
    return ReidScore(
        protocol=protocol,
        mAP=float(ap[valid].mean()),
        mINP=float(inp[valid].mean()),
        cmc=np.cumsum(reached)[1 : CMC_LENGTH + 1] / valid.sum(),
        queries=len(valid),
        valid_queries=int(valid.sum()),
        gallery_tracklets=int(in_gallery.sum()),
        junk_tracklets=int((in_gallery & junk).sum()),
        left_out_queries=int((left_out & ~junk).sum()),
        left_out_junk=int((junk & ~in_gallery).sum()),
        metric=metric,
        rerank=str(rerank) if rerank else "",
        ap=np.where(valid, ap, np.nan),
        inp=np.where(valid, inp, np.nan),
        first_rank=first_rank.astype(np.int64),
        last_rank=last_rank.astype(np.int64),
        matches=counts,
        query_ids=ids.names[ids.query],
        query_cams=cams.names[cams.query],
    )


def score_protocols(*arrays: Any, protocols: tuple[str, ...], **options: Any) -> dict[str, ReidScore]:
    """``score_reid`` under several protocols.

    Args:
        *arrays: the six arrays of ``score_reid``.
        protocols: names of protocols.
        **options: the further options of ``score_reid``.

    Returns:
        {protocol: score}, in the order of ``protocols``.

    Raises:
        NoMatchError: under one of them no query has a correct match.
        ValueError: an unknown protocol, or features and labels that do not fit.
    """
    return {name: score_reid(*arrays, protocol=name, **options) for name in protocols}


def _ranked(
    similarity: Similarity,
    ids: Labels,
    cams: Labels,
    gallery_part: Participants,
    rerank: "KReciprocal | None",
    block: int,
) -> Iterator[tuple[Matches, np.ndarray]]:
    """The correct matches of some queries at a time, best first, with the number of wrong items ahead of each."""
    rows = np.flatnonzero(gallery_part.valid)
    identities = _Identities(ids, cams, rows)
    if rerank is None:
        for part in identities.parts():
            own, is_match = identities.pairs(part)
            query, item = own.query[is_match], own.item[is_match]
            if len(query):
                matches = order_matches(query, item, similarity.exact(query, item))
                yield matches, count_ahead(similarity, matches, own, gallery_rows=rows, block=block)
        return
    # Re-ranking knows no identities: junk is re-ranked too, and ignored only when the ranks are read.
    present = np.flatnonzero(gallery_part.in_gallery)
    codes = {"query_code": ids.query, "gallery_code": ids.gallery[present]}
    takes_part = gallery_part.valid[present]
    of_present = Similarity(similarity.query, similarity.gallery[present], metric=similarity.metric)
    for part, distance in rerank.distance_blocks(of_present):
        own, is_match = identities.pairs(part)
        query, place = own.query[is_match], np.searchsorted(present, own.item[is_match])
        if len(query):
            matches = order_matches(query, place, -distance[query - part[0], place])
            rows_of_matches = distance[matches.query - part[0]]
            yield matches, count_ahead_dense(rows_of_matches, matches, takes_part=takes_part, **codes)


class _Identities:
    """The pairs of queries and gallery rows that have the same identity."""

    def __init__(self, ids: Labels, cams: Labels, rows: np.ndarray) -> None:
        self.cams = cams
        self.rows = rows[np.argsort(ids.gallery[rows], kind="stable")]
        sorted_ids = ids.gallery[self.rows]
        self.begin = np.searchsorted(sorted_ids, ids.query)
        self.count = np.searchsorted(sorted_ids, ids.query, side="right") - self.begin

    def pairs(self, part: np.ndarray) -> tuple[Pairs, np.ndarray]:
        """All pairs (P,) of some queries with their own identity, and which of them are matches: another camera's."""
        count = self.count[part]
        query = np.repeat(part, count)
        item = self.rows[np.repeat(self.begin[part] - np.cumsum(count) + count, count) + np.arange(len(query))]
        return Pairs(query=query, item=item), self.cams.gallery[item] != self.cams.query[query]

    def parts(self) -> Iterator[np.ndarray]:
        """Successive query rows whose pairs fit into memory together."""
        first, load = 0, 0
        for i, size in enumerate(self.count):
            if i > first and load + size > _PAIRS:
                yield np.arange(first, i)
                first, load = i, 0
            load += int(size)
        yield np.arange(first, len(self.count))


def _figures(start: np.ndarray, ahead: np.ndarray, definition: str) -> np.ndarray:
    """AP, INP, first and last rank (4, Q) from the number of wrong items ahead of each match (best first)."""
    size = np.diff(start)
    number = np.arange(1, len(ahead) + 1) - np.repeat(start[:-1], size)  # the match is the number-th of its query
    rank = ahead + number
    precision = number / rank
    if definition == "trapezoid":
        # The official MATLAB code: the mean of the precisions just before and at the match; it starts from precision 1.
        before = np.where(rank > 1, (number - 1) / np.maximum(rank - 1, 1), 1.0)
        precision = (before + precision) / 2
    last = rank[start[1:] - 1]
    return np.stack([np.add.reduceat(precision, start[:-1]) / size, size / last, rank[start[:-1]], last])


def _rows_of_queries(similarity: Similarity, ids: Labels, cams: Labels, query_index: Any) -> np.ndarray:
    """(G,) bool: gallery tracklets that are queries."""
    query, gallery = similarity.query, similarity.gallery
    if query_index is not None:
        return rows_of(query_index, len(query), len(gallery))
    is_query = np.zeros(len(gallery), bool)
    coarse = min(
        query.dtype, gallery.dtype, key=lambda kind: kind.itemsize
    )  # a copy may have been saved in half precision
    width = len(cams.names)
    own = ids.query * width + cams.query
    pair = ids.gallery * width + cams.gallery
    order = np.argsort(pair, kind="stable")
    begin, end = np.searchsorted(pair[order], own), np.searchsorted(pair[order], own, side="right")
    found = 0
    for i, (first, last) in enumerate(zip(begin, end, strict=True)):
        own_feature = query[i].astype(coarse)
        same = [row for row in order[first:last] if np.array_equal(gallery[row].astype(coarse), own_feature)]
        free = [row for row in same if not is_query[row]]
        found += bool(same)
        is_query[free[:1]] = True
    if found < len(own):
        warnings.warn(
            f"{found} of {len(own)} queries were found in the gallery by their features and left out; pass "
            "query_index to be certain (-1 for a query that is not in the gallery)",
            SpecvidWarning,
            stacklevel=3,
        )
    return is_query
