"""The k nearest through FAISS, against a full sort."""

import numpy as np
import pytest

from specvid.eval import nearest
from specvid.eval.neighbours import farthest_of
from specvid.eval.similarity import Similarity


def slow(query, gallery, metric):
    """All similarities in float64, and the gallery in the order of each query."""
    q, g = query.astype(np.float64), gallery.astype(np.float64)
    if metric == "cosine":
        scores = q @ g.T / np.linalg.norm(q, axis=1)[:, None] / np.linalg.norm(g, axis=1)
    else:
        scores = -((q[:, None] - g[None]) ** 2).sum(axis=2)
    return scores, np.argsort(-scores, axis=1, kind="stable")


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(("k", "block"), [(1, 16), (5, 16), (40, 1000), (100, 7)])
def test_equals_a_full_sort(metric, k, block):
    rng = np.random.default_rng(0)
    query, gallery = rng.standard_normal((9, 6)).astype(np.float32), rng.standard_normal((50, 6)).astype(np.float32)
    scores, order = slow(query, gallery, metric)
    values, rows = nearest(query, gallery, k, metric=metric, block=block)
    k = min(k, 50)
    assert np.array_equal(rows, order[:, :k])
    np.testing.assert_allclose(values, np.take_along_axis(scores, rows, 1), rtol=1e-12)
    similarity = Similarity(query, gallery, metric=metric)
    np.testing.assert_allclose(farthest_of(similarity, block=block), scores.min(axis=1), rtol=1e-12)


def test_equal_ones_come_by_place():
    gallery = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    _, rows = nearest(np.eye(3, dtype=np.float32), gallery, 4)
    assert rows.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_k_must_be_positive():
    with pytest.raises(ValueError, match="k is 0"):
        nearest(np.eye(2), np.eye(2), 0)
