"""What the arrays of a feature file may be called: the names that re-ID code bases use."""

from collections.abc import Iterable

GROUPS = {
    "separate": ("query", "gallery", "query_ids", "gallery_ids", "query_cams", "gallery_cams"),
    "table": ("features", "ids", "cams"),
}

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


def find(role: str, present: Iterable[str]) -> str | None:
    """The first of the names of ``role`` that is present, None without."""
    present = set(present)
    return next((name for name in NAMES[role] if name in present), None)


def by_role(present: Iterable[str]) -> dict[str, str]:
    """{role: name} of everything present that has a role."""
    present = list(present)
    found = {role: find(role, present) for role in NAMES}
    return {role: name for role, name in found.items() if name is not None}
