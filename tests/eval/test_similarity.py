"""Features of any length, and of none."""

import numpy as np
import pytest

from specvid.eval import KReciprocal, nearest, score_reid
from specvid.eval.embeddings import leave_group_out
from specvid.eval.similarity import Similarity


def arrays(scale=1.0, dtype=np.float32):
    rng = np.random.default_rng(0)
    query, gallery = rng.standard_normal((6, 8)), rng.standard_normal((40, 8))
    ids, cams = rng.integers(0, 4, 46), rng.integers(0, 3, 46)
    return ((scale * query).astype(dtype), (scale * gallery).astype(dtype), ids[:6], ids[6:], cams[:6], cams[6:])


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [(2.0**100, "f4"), (2.0**-100, "f4"), (2.0**-140, "f4"), (2.0**900, "f8"), (2.0**-900, "f8"), (2.0**9, "f2")],
)
@pytest.mark.parametrize("rerank", [None, KReciprocal(5, 2)])
def test_cosine_does_not_depend_on_lengths(scale, dtype, rerank):
    """Powers of two change no digit (2**-140 is below the normal numbers of float32, and loses some)."""
    usual = score_reid(*arrays(dtype=dtype), protocol="cross-camera", rerank=rerank)
    scaled = score_reid(*arrays(scale, dtype), protocol="cross-camera", rerank=rerank)
    if scale != 2.0**-140:
        assert scaled.ap.tobytes() == usual.ap.tobytes()
    assert scaled.mAP == pytest.approx(usual.mAP, rel=0.05)
    lengths = np.linalg.norm(arrays(1.0, "f8")[0], axis=1)
    assert Similarity(*arrays(scale, "f8")[:2]).query_norm.max() < 1e16
    np.testing.assert_allclose(Similarity(*arrays(1.0, "f8")[:2]).query_norm, lengths, rtol=1e-12)


def test_one_long_feature_among_others():
    query, gallery, *labels = arrays()
    long = gallery.copy()
    long[3] *= np.float32(1e30)
    assert score_reid(query, long, *labels, protocol="cross-camera").mAP == pytest.approx(
        score_reid(query, gallery, *labels, protocol="cross-camera").mAP
    )


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_lengths_that_euclidean_cannot_compare_are_named(scale):
    with pytest.raises(ValueError, match=r"longest feature has the length .*e[+-]\d\d.* metric='cosine'"):
        nearest(*arrays(scale)[:2], 3, metric="euclidean")


def test_what_is_not_finite_is_still_named():
    query, gallery, *labels = arrays(1e30)
    gallery[7, 1] = np.inf
    with pytest.raises(ValueError, match=r"1 gallery features are not finite \(the first is row 7\)"):
        score_reid(query, gallery, *labels, protocol="cross-camera")


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_zeros_are_named(metric):
    query, gallery, *labels = arrays()
    gallery[[2, 9]] = 0
    with pytest.warns(UserWarning, match=r"2 of 40 gallery features are all zero \(the first is row 2\)"):
        score_reid(query, gallery, *labels, protocol="cross-camera", metric=metric)
    with pytest.warns(UserWarning, match="2 of 40 gallery features are all zero"):
        nearest(query, gallery, 3, metric=metric)
    with pytest.warns(UserWarning, match="2 of 40 features are all zero"):
        leave_group_out(gallery, labels[1], np.arange(40), metric=metric)
    with pytest.warns(UserWarning, match="6 of 6 query features are all zero"):
        nearest(0 * query, gallery[3:9], 3, metric=metric)
