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
    """Bool masks (G,) over the gallery, and ``counts`` (Q,): correct matches of each query.

    ``junk``: of an identity that the protocol ignores; ``copies``: queries that it leaves out; ``stays``: in its
    gallery; ``usable``: what stays and is no junk.
    """

    junk: np.ndarray
    copies: np.ndarray
    stays: np.ndarray
    usable: np.ndarray
    counts: np.ndarray


def find_matches(rules: Protocol, ids: Labels, cams: Labels, copies: np.ndarray) -> Participants:
    """Who takes part where ``copies`` (G,) bool are left out. Raises ``NoMatchError`` where no query has a match."""
    junk = is_junk(rules, ids)
    stays = ~copies & ~junk if rules.leaves_out_junk else ~copies
    usable = stays & ~junk
    counts = _match_counts(ids, cams, usable)
    if not counts.any():
        raise NoMatchError(why_no_match(rules, ids, cams, stays, junk))
    return Participants(junk, copies, stays, usable, counts)


def check_matches(
    query_ids: Any, gallery_ids: Any, query_cams: Any, gallery_cams: Any, *, protocol: str, query_index: Any
) -> None:
    """Raises what ``score_reid`` would raise about these labels, without any features: its ``NoMatchError``, mostly.

    The arguments are those of ``score_reid``; the place of each query in the gallery must be known.
    """
    rules = get_protocol(protocol)
    queries, items = len(query_ids), len(gallery_ids)
    ids, cams = (
        encode(query, gallery, queries, items, what)
        for query, gallery, what in ((query_ids, gallery_ids, "ids"), (query_cams, gallery_cams, "cameras"))
    )
    copies = rows_of(query_index, queries, items) if rules.leaves_out_queries else np.zeros(items, bool)
    find_matches(rules, ids, cams, copies)


def rows_of(query_index: Any, queries: int, items: int) -> np.ndarray:
    """(G,) bool: the gallery rows that ``query_index`` (Q,) names; a negative one names none."""
    rows = np.asarray(query_index).reshape(-1)
    if len(rows) != queries or rows.dtype.kind not in "iu" or rows.max(initial=0) >= items:
        raise ValueError(
            f"query_index has {len(rows)} entries of type {rows.dtype} up to {rows.max(initial=0)}; it must name a "
            f"gallery row from 0 to {items - 1} for each of the {queries} queries (MARS's query_IDX.mat counts from 1)"
        )
    is_query = np.zeros(items, bool)
    is_query[rows[rows >= 0]] = True
    return is_query


def _match_counts(ids: Labels, cams: Labels, usable: np.ndarray) -> np.ndarray:
    """(Q,) number of correct matches: usable tracklets of the same identity less those of the same camera too."""
    width = len(cams.names)
    same_id = np.bincount(ids.gallery[usable], minlength=len(ids.names))[ids.query]
    pair = np.sort(ids.gallery[usable] * width + cams.gallery[usable])
    own = ids.query * width + cams.query
    return same_id - (np.searchsorted(pair, own, side="right") - np.searchsorted(pair, own))
