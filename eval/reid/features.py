"""Features of queries and gallery with their identities and cameras: what is scored, and what a file of them holds."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from specvid.eval.reid.flags import as_flags
from specvid.eval.reid.labels import as_labels
from specvid.eval.reid.result import ReidScore
from specvid.eval.similarity import as_matrix


@dataclass(frozen=True, eq=False)
class ReidFeatures:
    """Queries and gallery, ready to be scored.

    Attributes:
        query: (Q, D) features.
        gallery: (G, D) features.
        query_ids: (Q,) identities; ``gallery_ids`` (G,).
        query_cams: (Q,) cameras; ``gallery_cams`` (G,).
        query_index: (Q,) gallery row of each query, -1 where it is not in the gallery; None if unknown.
        query_names: (Q,) what each query is, e.g. its folder; ``gallery_names`` (G,); None without.
        about: anything JSON-able about their origin: model, data set, protocol, test sampling.
    """

    query: np.ndarray
    gallery: np.ndarray
    query_ids: np.ndarray
    gallery_ids: np.ndarray
    query_cams: np.ndarray
    gallery_cams: np.ndarray
    query_index: np.ndarray | None = None
    query_names: np.ndarray | None = None
    gallery_names: np.ndarray | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def score(self, protocol: str, **options: Any) -> ReidScore:
        """``score_reid`` of these features."""
        from specvid.eval.reid.score import score_reid

        return score_reid(
            self.query, self.gallery, self.query_ids, self.gallery_ids, self.query_cams, self.gallery_cams,
            protocol=protocol, query_index=self.query_index, **options,
        )  # fmt: skip

    def check(self) -> None:
        """Raises ValueError where features, identities, cameras and names do not go together."""
        for side in ("query", "gallery"):
            count = len(as_matrix(getattr(self, side), side))
            as_labels(getattr(self, f"{side}_ids"), count, f"{side} ids")
            as_labels(getattr(self, f"{side}_cams"), count, f"{side} cameras")
            names = getattr(self, f"{side}_names")
            if names is not None:
                as_labels(names, count, f"{side} names")


def from_table(
    features: Any, ids: Any, cams: Any, is_query: Any, in_gallery: Any = None, *, order: Any = None, names: Any = None,
    about: dict[str, Any] | None = None,
) -> ReidFeatures:  # fmt: skip
    """Features (N, D) of one table with two flags for each row: is it a query, and is it in the gallery.

    ``in_gallery``: by default every row is; ``order``: place of each query among the queries (of other rows it says
    nothing), by default that of the rows.

    Raises:
        ValueError: columns of different length, flags that are none, no query or no gallery, or places that do not
            count the queries.
    """
    features = as_matrix(features, "the table's")
    count = len(features)
    ids, cams = as_labels(ids, count, "ids"), as_labels(cams, count, "cameras")
    names = None if names is None else as_labels(names, count, "names")
    is_query = as_flags(is_query, count, "is_query")
    in_gallery = np.ones(count, bool) if in_gallery is None else as_flags(in_gallery, count, "in_gallery")
    if not is_query.any() or not in_gallery.any():
        raise ValueError(
            f"{is_query.sum()} rows are queries and {in_gallery.sum()} are in the gallery; both must exist"
        )
    rows = np.flatnonzero(is_query)
    if order is not None:
        places = as_labels(order, count, "query_order")[rows]
        if not np.array_equal(np.sort(places), np.arange(len(rows))):
            raise ValueError(
                f"query_order must number the {len(rows)} queries from 0 to {len(rows) - 1}, each once; leave the "
                "column out where their order says nothing"
            )
        rows = rows[np.argsort(places)]
    place = np.where(in_gallery, np.cumsum(in_gallery) - 1, -1)
    everything = bool(in_gallery.all())
    return ReidFeatures(
        query=features[rows], gallery=features if everything else features[in_gallery],
        query_ids=ids[rows], gallery_ids=ids[in_gallery], query_cams=cams[rows], gallery_cams=cams[in_gallery],
        query_index=place[rows],
        query_names=None if names is None else names[rows],
        gallery_names=None if names is None else names[in_gallery],
        about=about or {},
    )  # fmt: skip


def read_note(text: str | bytes) -> dict[str, Any]:
    """``about`` as a file keeps it: a JSON object."""
    try:
        note = json.loads(text)
    except ValueError:
        note = None
    if not isinstance(note, dict):
        raise ValueError(
            f"its note about the features ({text[:40]!r}) is no JSON object; leave it out, or write e.g. "
            '{"protocol": "mars"}'
        )
    return note
