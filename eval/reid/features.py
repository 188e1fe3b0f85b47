"""Features of queries and gallery with their identities and cameras: what is scored, and what a file of them holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from specvid.eval.matrix import as_matrix
from specvid.eval.reid.labels import as_flags, as_labels
from specvid.eval.reid.result import ReidScore
from specvid.reading import parse_json

SEPARATE = ("query", "gallery", "query_ids", "gallery_ids", "query_cams", "gallery_cams")
TABLE = ("features", "ids", "cams")
NAMES: dict[str, tuple[str, ...]] = {
    "query": ("query", "qf", "query_features", "query_feature", "query_f"),
    "gallery": ("gallery", "gf", "gallery_features", "gallery_feature", "gallery_f"),
    "query_ids": ("query_ids", "query_id", "query_pids", "q_pids", "q_pid", "query_label"),
    "gallery_ids": ("gallery_ids", "gallery_id", "gallery_pids", "g_pids", "g_pid", "gallery_label"),
    "query_cams": ("query_cams", "query_cam", "query_camids", "q_camids", "q_camid", "q_cams", "q_cam"),
    "gallery_cams": ("gallery_cams", "gallery_cam", "gallery_camids", "g_camids", "g_camid", "g_cams", "g_cam"),
    "query_names": ("query_names",),
    "gallery_names": ("gallery_names",),
    "features": ("features", "feature", "embeddings", "embedding", "feat", "feats"),
    "ids": ("ids", "id", "pids", "pid", "person_id", "identity", "label", "labels"),
    "cams": ("cams", "cam", "camids", "camid", "cameras", "camera", "camera_id"),
    "names": ("names", "name", "path", "paths", "tracklet"),
    "is_query": ("is_query", "query_mask"),
    "in_gallery": ("in_gallery", "is_gallery", "gallery_mask"),
    "query_order": ("query_order",),
    "query_index": ("query_index", "query_idx", "query_indices"),
    "query_index1": ("query_IDX",),  # MARS's own name, counted from 1
    "about": ("about",),
}
"""Role of an array in a file -> the names that re-ID code bases give it."""


@dataclass(frozen=True, eq=False)
class ReidFeatures:
    """Queries and gallery, ready to be scored.

    Attributes:
        query: (Q, D) features.
        gallery: (G, D) features.
        query_ids: (Q,) identities.
        gallery_ids: (G,) identities.
        query_cams: (Q,) cameras.
        gallery_cams: (G,) cameras.
        query_index: (Q,) gallery row of each query, -1 where it is not in the gallery; None if unknown.
        query_names: (Q,) what each query is, e.g. its folder; None without.
        gallery_names: (G,) the same of the gallery.
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
        """Score these features.

        Args:
            protocol: one of ``specvid.eval.PROTOCOLS``.
            **options: the further options of ``score_reid``.

        Returns:
            What ``score_reid`` returns.

        Raises:
            NoMatchError: no query has a correct match under this protocol.
            ValueError: an unknown protocol, or features and labels that do not fit.
        """
        from specvid.eval.reid.score import score_reid

        return score_reid(
            self.query,
            self.gallery,
            self.query_ids,
            self.gallery_ids,
            self.query_cams,
            self.gallery_cams,
            protocol=protocol,
            query_index=self.query_index,
            **options,
        )

    def check(self) -> None:
        """Check that features, identities, cameras and names go together.

        Raises:
            ValueError: they do not; the message names the array and its shape.
        """
        for side in ("query", "gallery"):
            count = len(as_matrix(getattr(self, side), side))
            as_labels(getattr(self, f"{side}_ids"), count, f"{side} ids")
            as_labels(getattr(self, f"{side}_cams"), count, f"{side} cameras")
            names = getattr(self, f"{side}_names")
            if names is not None:
                as_labels(names, count, f"{side} names")


def names_by_role(present: Iterable[str]) -> dict[str, str]:
    """The arrays of a file that have a role in scoring.

    Args:
        present: the names in the file.

    Returns:
        {role: name}, the roles being the keys of ``NAMES``; of several names for a role, the first of the list counts.
    """
    present = set(present)
    found = {role: next((name for name in names if name in present), None) for role, names in NAMES.items()}
    return {role: name for role, name in found.items() if name is not None}


def from_arrays(arrays: Mapping[str, np.ndarray], *, about: dict[str, Any] | None = None) -> ReidFeatures:
    """Features from the arrays of a file: queries and gallery apart, or one table of both.

    Args:
        arrays: {role: array}: all of ``SEPARATE``, or all of ``TABLE`` with ``query_index``, ``query_index1`` or
            ``is_query``.
        about: their origin.

    Raises:
        ValueError: arrays that are missing or do not fit each other.
    """
    index = arrays["query_index"].reshape(-1) if "query_index" in arrays else None
    if "query_index1" in arrays:
        index = arrays["query_index1"].reshape(-1).astype(np.int64) - 1
    if all(role in arrays for role in SEPARATE):
        taken = [role for role in (*SEPARATE, "query_names", "gallery_names") if role in arrays]
        return ReidFeatures(**{role: arrays[role] for role in taken}, query_index=index, about=about or {})
    features, ids, cams = (arrays[role] for role in TABLE)
    names = arrays.get("names")
    if index is None:
        flags = arrays["is_query"], arrays.get("in_gallery")
        return from_table(features, ids, cams, *flags, order=arrays.get("query_order"), names=names, about=about)
    count = len(as_matrix(features, "the table's"))
    ids, cams = as_labels(ids, count, "ids"), as_labels(cams, count, "cameras")
    names = None if names is None else as_labels(names, count, "names")
    if len(index) == 0 or index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= count:
        raise ValueError(f"query_index names rows from 0 to {count - 1}, this one does not")
    return ReidFeatures(
        query=features[index],
        gallery=features,
        query_ids=ids[index],
        gallery_ids=ids,
        query_cams=cams[index],
        gallery_cams=cams,
        query_index=index,
        query_names=None if names is None else names[index],
        gallery_names=names,
        about=about or {},
    )


def from_table(
    features: Any,
    ids: Any,
    cams: Any,
    is_query: Any,
    in_gallery: Any = None,
    *,
    order: Any = None,
    names: Any = None,
    about: dict[str, Any] | None = None,
) -> ReidFeatures:
    """Features of one table with two flags for each row: is it a query, and is it in the gallery.

    Args:
        features: (N, D) features.
        ids: (N,) identities.
        cams: (N,) cameras.
        is_query: (N,) flags.
        in_gallery: (N,) flags; by default every row is in the gallery.
        order: (N,) place of each query among the queries (ignored in other rows), by default that of the rows.
        names: (N,) what each row is.
        about: their origin.

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
                "column out where their order does not matter"
            )
        rows = rows[np.argsort(places)]
    place = np.where(in_gallery, np.cumsum(in_gallery) - 1, -1)
    all_in_gallery = bool(in_gallery.all())
    return ReidFeatures(
        query=features[rows],
        gallery=features if all_in_gallery else features[in_gallery],
        query_ids=ids[rows],
        gallery_ids=ids[in_gallery],
        query_cams=cams[rows],
        gallery_cams=cams[in_gallery],
        query_index=place[rows],
        query_names=None if names is None else names[rows],
        gallery_names=None if names is None else names[in_gallery],
        about=about or {},
    )


def parse_about(text: str | bytes) -> dict[str, Any]:
    """``about`` from the JSON object that a file holds.

    Args:
        text: the JSON.

    Raises:
        ValueError: it is none.
    """
    try:
        about = parse_json(text)
    except ValueError:
        about = None
    if not isinstance(about, dict):
        raise ValueError(
            f"its metadata about the features ({text[:40]!r}) is no JSON object; leave it out, or write e.g. "
            '{"protocol": "mars"}'
        )
    return about
