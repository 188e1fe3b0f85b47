"""Slow, obvious re-identification scoring: one query at a time, one gallery item at a time, in float64."""

import math
from collections.abc import Callable

import numpy as np


def similarity(q: np.ndarray, g: np.ndarray, metric: str) -> float:
    """Cosine of the angle, or minus the squared distance, of two vectors."""
    q, g = q.astype(np.float64), g.astype(np.float64)
    if metric == "euclidean":
        return -float(((q - g) ** 2).sum())
    length = math.sqrt((q * q).sum()) * math.sqrt((g * g).sum())
    return float((q * g).sum() / length) if length else 0.0


def official_ap(good: set[int], junk: set[int], ranked: list[int]) -> float:
    """Line by line the MATLAB ``compute_AP`` of the MARS evaluation code (indices from 0)."""
    old_recall, old_precision, ap, found, j, seen = 0.0, 1.0, 0.0, 0, 0, 0
    for item in ranked:
        flag = item in good
        seen += flag
        if item in junk:
            continue
        found += flag
        recall = found / len(good)
        precision = found / (j + 1)
        ap += (recall - old_recall) * ((old_precision + precision) / 2)
        old_recall, old_precision = recall, precision
        j += 1
        if seen == len(good):
            return ap
    raise AssertionError("not all good items are ranked")


def mean_precision(good: set[int], junk: set[int], ranked: list[int]) -> float:
    """Mean of the precisions at the places of the good items, junk removed."""
    kept = [item for item in ranked if item not in junk]
    precisions = [len(good & set(kept[: place + 1])) / (place + 1) for place, item in enumerate(kept) if item in good]
    return sum(precisions) / len(precisions)


AP: dict[str, Callable[[set[int], set[int], list[int]], float]] = {
    "trapezoid": official_ap,
    "mean-precision": mean_precision,
}


def slow_score(arrays, *, ap: str, junk_ids=(), leave_out=(), metric: str = "cosine", score=None) -> dict:
    """Per-query figures and their means; ``leave_out``: rows that do not exist; ``score(i, j)`` instead of features."""
    query, gallery, query_ids, gallery_ids, query_cams, gallery_cams = arrays
    score = score or (lambda i, j: similarity(query[i], gallery[j], metric))
    items = [j for j in range(len(gallery_ids)) if j not in set(leave_out)]
    result = {"ap": [], "inp": [], "first": [], "last": [], "matches": []}
    for i in range(len(query_ids)):
        ranked = sorted(items, key=lambda j: (-score(i, j), j))
        same = {j for j in items if gallery_ids[j] == query_ids[i]}
        unknown = {j for j in items if gallery_ids[j] in junk_ids}
        good = {j for j in same if gallery_cams[j] != query_cams[i]} - unknown
        junk = unknown | (same - good)
        kept = [j for j in ranked if j not in junk]
        places = [place for place, j in enumerate(kept, start=1) if j in good]
        result["matches"].append(len(good))
        result["ap"].append(AP[ap](good, junk, ranked) if good else math.nan)
        result["inp"].append(len(good) / places[-1] if good else math.nan)
        result["first"].append(places[0] if good else 0)
        result["last"].append(places[-1] if good else 0)
    valid = [i for i, count in enumerate(result["matches"]) if count]
    if valid:
        result["mAP"] = sum(result["ap"][i] for i in valid) / len(valid)
        result["mINP"] = sum(result["inp"][i] for i in valid) / len(valid)
        result["cmc"] = [sum(result["first"][i] <= k for i in valid) / len(valid) for k in range(1, 51)]
    result["valid"] = len(valid)
    return result
