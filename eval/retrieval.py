"""``score_reid``: mAP, mINP and CMC of a query set against a gallery, under a named protocol."""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from specvid.eval.labels import Labels, encode
from specvid.eval.protocols import NoMatchError, get_protocol, is_junk, why_no_match
from specvid.eval.ranking import GALLERY_BLOCK, Matches, Pairs, count_ahead, count_ahead_dense, order_matches
from specvid.eval.reid import CMC_LENGTH, ReidScore
from specvid.eval.similarity import Similarity

if TYPE_CHECKING:
    from specvid.eval.rerank import KReciprocal

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
        query_ids: (Q,) identities, whole numbers or strings.
        gallery_ids: (G,) identities. Under the MARS protocols -1 is junk; 0, the distractors, match nobody because no
            query has that id.
        query_cams: (Q,) cameras, whole numbers or strings.
        gallery_cams: (G,) cameras.
        protocol: one of ``specvid.eval.PROTOCOLS``.
        query_index: (Q,) gallery row of each query (from 0, negative: not in the gallery), for ``mars-noquery``. By
            default the gallery rows with a query's identity, camera and exact features.
        metric: ``cosine``, or ``euclidean`` for features that are not to be normalised.
        rerank: k-reciprocal re-ranking; by default none.
        block: gallery rows in memory at a time.

    Returns:
        A ``ReidScore``.

    Raises:
        NoMatchError: no query has a correct match; the message names the cause.
        ValueError: an unknown protocol, or features and labels that do not fit.
    """
    rules = get_protocol(protocol)
    if block < 1:
        raise ValueError(f"block is {block}; at least one gallery row must be in memory")
    similarity = Similarity(query, gallery, metric=metric)
    ids = encode(query_ids, gallery_ids, len(similarity.query), len(similarity.gallery), "ids")
    cams = encode(query_cams, gallery_cams, len(similarity.query), len(similarity.gallery), "cameras")
    junk = is_junk(rules, ids)
    copies = np.zeros(len(junk), bool)
    if rules.leaves_out_queries:
        copies = _rows_of_queries(similarity, ids, cams, query_index)
    stays = ~copies & ~junk if rules.leaves_out_junk else ~copies
    usable = stays & ~junk

    found = np.zeros((4, len(similarity.query)))
    for matches, ahead in _ranked(similarity, ids, cams, stays, usable, rerank, block):
        found[:, matches.query] = _figures(matches.start, ahead, rules.ap)
    ap, inp, first_rank, last_rank = found
    counts = _match_counts(ids, cams, usable)
    valid = counts > 0
    if not valid.any():
        raise NoMatchError(why_no_match(rules, ids, cams, stays, junk))
    if rules.splits > 1 and (counts > 1).any():
        warnings.warn(
            f"protocol {protocol} means one match a query, but {(counts > 1).sum()} queries have more", stacklevel=2
        )
    reached = np.bincount(np.minimum(first_rank[valid].astype(np.int64), CMC_LENGTH + 1), minlength=CMC_LENGTH + 2)
    return ReidScore(
        protocol=protocol,
        mAP=float(ap[valid].mean()),
        mINP=float(inp[valid].mean()),
        cmc=np.cumsum(reached)[1 : CMC_LENGTH + 1] / valid.sum(),
        queries=len(valid),
        valid_queries=int(valid.sum()),
        gallery_tracklets=int(stays.sum()),
        junk_tracklets=int((stays & junk).sum()),
        left_out_queries=int((copies & ~junk).sum()),
        left_out_junk=int((junk & ~stays).sum()),
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
    """``score_reid`` under several protocols, side by side: {name: score}."""
    return {name: score_reid(*arrays, protocol=name, **options) for name in protocols}


def _match_counts(ids: Labels, cams: Labels, usable: np.ndarray) -> np.ndarray:
    """(Q,) number of correct matches: usable tracklets of the same identity less those of the same camera too."""
    width = len(cams.names)
    same_id = np.bincount(ids.gallery[usable], minlength=len(ids.names))[ids.query]
    pair = np.sort(ids.gallery[usable] * width + cams.gallery[usable])
    own = ids.query * width + cams.query
    return same_id - (np.searchsorted(pair, own, side="right") - np.searchsorted(pair, own))


def _ranked(
    similarity: Similarity, ids: Labels, cams: Labels, stays: np.ndarray, usable: np.ndarray,
    rerank: "KReciprocal | None", block: int,
) -> Iterator[tuple[Matches, np.ndarray]]:  # fmt: skip
    """The correct matches of some queries at a time, best first, with the number of wrong items ahead of each."""
    rows = np.flatnonzero(usable)
    people = _People(ids, cams, rows)
    if rerank is None:
        for part in people.parts():
            own, is_match = people.pairs(part)
            query, item = own.query[is_match], own.item[is_match]
            if len(query):
                matches = order_matches(query, item, similarity.exact(query, item))
                yield matches, count_ahead(similarity, matches, own, gallery_rows=rows, block=block)
        return
    # Re-ranking knows no identities: junk is re-ranked too, and ignored only when the ranks are read.
    present = np.flatnonzero(stays)
    present_codes = {"query_code": ids.query, "gallery_code": ids.gallery[present]}
    kept = Similarity(similarity.query, similarity.gallery[present], metric=similarity.metric)
    for part, distance in rerank.distance_blocks(kept):
        own, is_match = people.pairs(part)
        query, place = own.query[is_match], np.searchsorted(present, own.item[is_match])
        if len(query):
            matches = order_matches(query, place, -distance[query - part[0], place])
            rows_of_matches = distance[matches.query - part[0]]
            yield matches, count_ahead_dense(rows_of_matches, matches, takes_part=usable[present], **present_codes)


class _People:
    """Who is whom: the pairs of queries and gallery rows of one identity."""

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
    is_query = np.zeros(len(similarity.gallery), bool)
    if query_index is not None:
        rows = np.asarray(query_index).reshape(-1)
        if len(rows) != len(similarity.query) or rows.dtype.kind not in "iu" or rows.max(initial=0) >= len(is_query):
            raise ValueError(
                f"query_index has {len(rows)} entries of type {rows.dtype} up to {rows.max(initial=0)}; it must name "
                f"a gallery row "
                f"from 0 to {len(is_query) - 1} for each of the {len(similarity.query)} queries (MARS's query_IDX.mat "
                f"counts from 1)"
            )
        is_query[rows[rows >= 0]] = True
        return is_query
    width = len(cams.names)
    own = ids.query * width + cams.query
    pair = ids.gallery * width + cams.gallery
    order = np.argsort(pair, kind="stable")
    begin, end = np.searchsorted(pair[order], own), np.searchsorted(pair[order], own, side="right")
    found = 0
    for i, (first, last) in enumerate(zip(begin, end, strict=True)):
        same = [row for row in order[first:last] if np.array_equal(similarity.gallery[row], similarity.query[i])]
        free = [row for row in same if not is_query[row]]
        found += bool(same)
        is_query[free[:1]] = True
    if 0 < found < len(own):
        warnings.warn(
            f"{found} of {len(own)} queries were found in the gallery by their features and left out; pass "
            f"query_index to be certain",
            stacklevel=3,
        )
    return is_query
