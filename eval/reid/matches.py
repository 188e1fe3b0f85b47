"""Which gallery tracklets take part under a protocol, and how many of them are a query's matches: labels alone decide.

So it is known before anything is embedded, or trained, whether there will be something to score.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from specvid.eval.reid.labels import Labels, encode
from specvid.eval.reid.protocols import NoMatchError, Protocol, get_protocol, is_junk, why_no_match


@dataclass(frozen=True, eq=False)
class Participants:
    """Bool masks over the gallery rows, and the number of matches.

    Attributes:
        junk: (G,) tracklets of an identity that the protocol ignores.
        in_gallery: (G,) tracklets in the protocol's gallery.
        valid: (G,) tracklets in its gallery that are not junk.
        counts: (Q,) correct matches of each query.
    """

    junk: np.ndarray
    in_gallery: np.ndarray
    valid: np.ndarray
    counts: np.ndarray


def find_matches(rules: Protocol, ids: Labels, cams: Labels, left_out: np.ndarray) -> Participants:
    """The gallery tracklets that take part, and the number of matches of each query.

    Args:
        rules: the protocol.
        ids: identities.
        cams: cameras.
        left_out: (G,) bool, the queries that the protocol leaves out of its gallery.

    Raises:
        NoMatchError: no query has a match.
    """
    junk = is_junk(rules, ids)
    in_gallery = ~left_out & ~junk if rules.leaves_out_junk else ~left_out
    valid = in_gallery & ~junk
    counts = _match_counts(ids, cams, valid)
    if not counts.any():
        raise NoMatchError(why_no_match(rules, ids, cams, in_gallery, junk))
    return Participants(junk, in_gallery, valid, counts)


def check_matches(
    query_ids: Any, gallery_ids: Any, query_cams: Any, gallery_cams: Any, *, protocol: str, query_index: Any
) -> None:
    """Check before anything is embedded that these labels can be scored.

    Args:
        query_ids: (Q,) identities.
        gallery_ids: (G,) identities.
        query_cams: (Q,) cameras.
        gallery_cams: (G,) cameras.
        protocol: one of ``specvid.eval.PROTOCOLS``.
        query_index: (Q,) gallery row of each query, negative where it is not in the gallery.

    Raises:
        NoMatchError: no query has a correct match.
        ValueError: what else ``score_reid`` would raise about these labels.
    """
    rules = get_protocol(protocol)
    queries, items = len(query_ids), len(gallery_ids)
    ids, cams = (
        encode(query, gallery, queries, items, what)
        for query, gallery, what in ((query_ids, gallery_ids, "ids"), (query_cams, gallery_cams, "cameras"))
    )
    left_out = rows_of(query_index, queries, items) if rules.leaves_out_queries else np.zeros(items, bool)
    find_matches(rules, ids, cams, left_out)


def rows_of(query_index: Any, queries: int, items: int) -> np.ndarray:
    """The gallery rows that are queries.

    Args:
        query_index: (Q,) gallery row of each query; a negative one names none.
        queries: Q.
        items: G.

    Returns:
        (G,) bool.

    Raises:
        ValueError: another number of rows, or rows that are not in the gallery.
    """
    rows = np.asarray(query_index).reshape(-1)
    if len(rows) != queries or rows.dtype.kind not in "iu" or rows.max(initial=0) >= items:
        raise ValueError(
            f"query_index has {len(rows)} entries of type {rows.dtype} up to {rows.max(initial=0)}; it must name a "
            f"gallery row from 0 to {items - 1} for each of the {queries} queries (MARS's query_IDX.mat counts from 1)"
        )
    is_query = np.zeros(items, bool)
    is_query[rows[rows >= 0]] = True
    return is_query


def _match_counts(ids: Labels, cams: Labels, valid: np.ndarray) -> np.ndarray:
    """(Q,) number of correct matches: valid tracklets of the same identity less those of the same camera too."""
    width = len(cams.names)
    same_id = np.bincount(ids.gallery[valid], minlength=len(ids.names))[ids.query]
    pair = np.sort(ids.gallery[valid] * width + cams.gallery[valid])
    own = ids.query * width + cams.query
    return same_id - (np.searchsorted(pair, own, side="right") - np.searchsorted(pair, own))
