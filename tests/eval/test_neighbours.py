"""The k nearest through FAISS, against a full sort."""

import numpy as np
import pytest

from specvid.eval import nearest
from specvid.eval.neighbours import extreme_of
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
    least, which = extreme_of(similarity, farthest=True, block=block)
    np.testing.assert_allclose(least, scores.min(axis=1), rtol=1e-12)
    assert np.array_equal(which, scores.argmin(axis=1))
    assert np.array_equal(extreme_of(similarity, block=block)[1], order[:, 0])


def test_equal_ones_come_by_place():
    gallery = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    _, rows = nearest(np.eye(3, dtype=np.float32), gallery, 4)
    assert rows.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("block", [7, 64, 1000])
def test_ties_go_by_place_whatever_the_blocks(metric, block):
    """Each feature comes forty times, more often than there are spare candidates."""
    rng = np.random.default_rng(1)
    different = rng.standard_normal((8, 33)).astype(np.float32)
    which = rng.permutation(np.repeat(np.arange(8), 40))
    similarity = Similarity(different, different[which], metric=metric)
    scores = similarity.exact(np.repeat(np.arange(8), len(which)), np.tile(np.arange(len(which)), 8)).reshape(8, -1)
    order = np.argsort(-scores, axis=1, kind="stable")
    for k in (1, 5, 50, 200):
        values, rows = nearest(different, different[which], k, metric=metric, block=block)
        assert np.array_equal(rows, order[:, :k])
        assert np.array_equal(values, np.take_along_axis(scores, rows, 1))
    for farthest, best in ((False, scores.max(axis=1)), (True, scores.min(axis=1))):
        values, rows = extreme_of(similarity, farthest=farthest, block=block)
        assert np.array_equal(values, best)
        assert np.array_equal(rows, (scores == best[:, None]).argmax(axis=1))


def test_what_all_are_alike_is_compared_once(monkeypatch):
    """Constant features, those of a model that diverged: one comparison, not one for each pair."""
    compared = []
    exact = Similarity.exact

    def counting(self, query_rows, gallery_rows):
        compared.append(len(query_rows))
        return exact(self, query_rows, gallery_rows)

    monkeypatch.setattr(Similarity, "exact", counting)
    constant = np.ones((3000, 4), np.float32)
    _, rows = nearest(constant[:200], constant, 3)
    assert rows.tolist() == [[0, 1, 2]] * 200
    assert sum(compared) < 200 * (3 + 16) + 100


def test_k_must_be_positive():
    with pytest.raises(ValueError, match="k is 0"):
        nearest(np.eye(2), np.eye(2), 0)
