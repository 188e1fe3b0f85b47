"""k-reciprocal re-ranking against the published algorithm, and its score."""

from functools import partial

import numpy as np
import pytest
from shared_data import shared
from slow_reid import slow_score

from specvid.eval import KReciprocal, score_reid
from specvid.eval.neighbours import extreme_of, nearest_of
from specvid.eval.reid import rerank
from specvid.tools.bench.dense_rerank import rerank_dense


def clusters(seed=0, identities=8, queries=12, gallery=70, dims=10, noise=0.5):
    """People around centres, in the order of score_reid."""
    rng = np.random.default_rng(seed)
    centre = rng.standard_normal((identities, dims))
    query_ids, gallery_ids = rng.integers(0, identities, queries), rng.integers(-1, identities, gallery)
    make = lambda ids: (centre[ids] + noise * rng.standard_normal((len(ids), dims))).astype(np.float32)  # noqa: E731
    return (
        make(query_ids),
        make(gallery_ids),
        query_ids,
        gallery_ids,
        rng.integers(0, 3, queries),
        rng.integers(0, 3, gallery),
    )


def distance(a, b, metric):
    """Plain Euclidean distances, of the normalised features for cosine."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    if metric == "cosine":
        a, b = a / np.linalg.norm(a, axis=1, keepdims=True), b / np.linalg.norm(b, axis=1, keepdims=True)
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))


def published(arrays, metric, k1, k2, lambda_value):
    query, gallery = arrays[:2]
    return rerank_dense(
        distance(query, gallery, metric),
        distance(query, query, metric),
        distance(gallery, gallery, metric),
        k1,
        k2,
        lambda_value,
    )


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(("k1", "k2", "lambda_value"), [(20, 6, 0.3), (7, 3, 0.0), (5, 1, 0.5), (1, 1, 1.0)])
def test_equals_the_published_algorithm(metric, k1, k2, lambda_value):
    arrays = clusters()
    ours = KReciprocal(k1=k1, k2=k2, lambda_value=lambda_value).distances(*arrays[:2], metric=metric)
    np.testing.assert_allclose(ours, published(arrays, metric, k1, k2, lambda_value), rtol=0, atol=1e-9)


def test_more_neighbours_than_tracklets():
    arrays = clusters(queries=3, gallery=6)
    ours = KReciprocal().distances(*arrays[:2])
    np.testing.assert_allclose(ours, published(arrays, "cosine", 20, 6, 0.3), rtol=0, atol=1e-9)


def test_blocks_do_not_change_the_distances(monkeypatch):
    arrays = clusters(1)
    at_once = KReciprocal().distances(*arrays[:2])
    monkeypatch.setattr(rerank, "_ROW_BYTES", 8 * 70 * 5)
    monkeypatch.setattr(rerank, "_ENCODE_ROWS", 9)
    monkeypatch.setattr(rerank, "_GALLERY_ROWS", 11)
    np.testing.assert_allclose(KReciprocal().distances(*arrays[:2]), at_once, rtol=0, atol=1e-11)


def test_copies_are_reranked_alike_whatever_the_blocks(monkeypatch):
    """Each tracklet comes thirty times, more often than there are spare candidates."""
    query, gallery = (np.repeat(part, 30, axis=0) for part in clusters(4, queries=3, gallery=9)[:2])
    expected = KReciprocal().distances(query, gallery)
    assert np.array_equal(expected, np.repeat(expected[::30], 30, axis=0))
    for block in (7, 64, 1000):
        monkeypatch.setattr(rerank, "nearest_of", partial(nearest_of, block=block))
        monkeypatch.setattr(rerank, "extreme_of", partial(extreme_of, block=block))
        assert np.array_equal(KReciprocal().distances(query, gallery), expected)


@pytest.mark.parametrize("protocol", ["mars", "mars-ap", "cross-camera"])
def test_score_of_the_reranked_distances(protocol):
    arrays = clusters(2, noise=1.5)
    final = np.round(published(arrays, "cosine", 20, 6, 0.3), 12)
    junk = () if protocol == "cross-camera" else (-1,)
    ap = "trapezoid" if protocol == "mars" else "mean-precision"
    slow = slow_score(arrays, ap=ap, junk_ids=junk, score=lambda i, j: -final[i, j])
    score = score_reid(*arrays, protocol=protocol, rerank=KReciprocal())
    np.testing.assert_allclose(score.ap, slow["ap"], rtol=0, atol=1e-12)
    assert score.first_rank.tolist() == slow["first"]
    assert score.rerank == "k-reciprocal re-ranking (k1=20, k2=6, lambda=0.3)"
    assert score.rerank in str(score)
    assert not np.array_equal(score.ap, score_reid(*arrays, protocol=protocol).ap)


def test_noquery_reranks_what_is_left():
    _, gallery, _, ids, _, cams = clusters(3)
    index = np.flatnonzero(ids >= 0)[::5]
    kept = np.setdiff1d(np.flatnonzero(ids >= 0), index)
    arrays = (gallery[index], gallery, ids[index], ids, cams[index], cams)
    reduced = (gallery[index], gallery[kept], ids[index], ids[kept], cams[index], cams[kept])
    score = score_reid(*arrays, protocol="mars-noquery", query_index=index, rerank=KReciprocal())
    assert score.mAP == score_reid(*reduced, protocol="cross-camera", rerank=KReciprocal()).mAP


@pytest.mark.parametrize("options", [{"k1": 0}, {"k2": 0}, {"k2": 30}, {"lambda_value": 1.5}])
def test_impossible_options_are_named(options):
    with pytest.raises(ValueError, match="k1 must be at least 1"):
        KReciprocal(**options)


@pytest.mark.data
def test_reranking_helps_real_features():
    with np.load(shared("golden/reid/market_osnet_subset.npz")) as file:
        arrays = [file[name] for name in ("qf", "gf", "q_pid", "g_pid", "q_cam", "g_cam")]
    plain = score_reid(*arrays, protocol="cross-camera")
    assert score_reid(*arrays, protocol="cross-camera", rerank=KReciprocal()).mAP > plain.mAP + 0.05
