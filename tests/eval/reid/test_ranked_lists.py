"""Ranked lists and mAP by camera, against one full sort of each query by hand and against `score_reid`."""

import numpy as np
import pytest

from specvid.eval import KReciprocal, score_reid
from specvid.eval.reid.features import ReidFeatures
from specvid.eval.reid.ranked_lists import JUNK, RIGHT, WRONG, average_precision, rank_lists

RNG = np.random.default_rng(0)
GALLERY, DIM = 60, 5


def features(*, in_gallery: bool = True) -> ReidFeatures:
    """Identities 1 to 6, distractors (0) and junk (-1) under three cameras; queries are rows of the gallery."""
    gallery = RNG.standard_normal((GALLERY, DIM))
    ids, cams = RNG.integers(-1, 7, GALLERY), RNG.integers(0, 3, GALLERY)
    index = np.flatnonzero(ids > 0)[:20]
    query = gallery[index] if in_gallery else RNG.standard_normal((len(index), DIM))
    places = index if in_gallery else np.full(len(index), -1)
    return ReidFeatures(query, gallery, ids[index], ids, cams[index], cams, places)


@pytest.mark.parametrize("protocol", ["mars", "mars-ap", "mars-noquery"])
def test_lists_hold_ten_that_count_with_junk_between(protocol: str) -> None:
    data = features()
    ranked = rank_lists(data, protocol)
    ap = score_reid(
        data.query, data.gallery, data.query_ids, data.gallery_ids, data.query_cams, data.gallery_cams,
        protocol=protocol, query_index=data.query_index,
    )  # fmt: skip
    unit = data.gallery / np.linalg.norm(data.gallery, axis=1, keepdims=True)
    for query, one in enumerate(ranked.lists):
        own = data.query_index[query]
        score = unit @ unit[own]
        assert own not in one.items
        np.testing.assert_allclose(one.scores, score[one.items], atol=1e-6)
        assert (np.diff(one.scores) <= 0).all()
        same = data.gallery_ids[one.items] == data.query_ids[query]
        near = same & (data.gallery_cams[one.items] == data.query_cams[query])
        junk = near | (data.gallery_ids[one.items] == -1)
        assert one.kinds.tolist() == np.where(junk, JUNK, np.where(same, RIGHT, WRONG)).tolist()
        assert (one.kinds != JUNK).sum() == 10 and (one.kinds == JUNK).sum() <= 4
        first = np.flatnonzero(one.kinds[one.kinds != JUNK] == RIGHT)
        assert (first[0] + 1 if len(first) else 11) == min(ap.first_rank[query] or 11, 11)


@pytest.mark.parametrize("protocol", ["mars", "mars-ap"])
def test_cameras_are_scored_as_galleries_of_their_own(protocol: str) -> None:
    data = features()
    ranked = rank_lists(data, protocol)
    for column, camera in enumerate(ranked.gallery_cameras):
        rows = data.gallery_cams == int(camera)
        alone = score_reid(
            data.query, data.gallery[rows], data.query_ids, data.gallery_ids[rows], data.query_cams,
            data.gallery_cams[rows], protocol=protocol,
        )  # fmt: skip
        for row, own in enumerate(ranked.query_cameras):
            aps = alone.ap[data.query_cams == int(own)]
            aps = aps[~np.isnan(aps)]
            assert ranked.queries[row, column] == len(aps)
            expected = aps.mean() if len(aps) else np.nan
            np.testing.assert_allclose(ranked.mean_ap[row, column], expected, rtol=1e-12)


def test_reranked_lists_follow_the_reranked_distance() -> None:
    data, rerank = features(in_gallery=False), KReciprocal(k1=5, k2=2)
    ranked = rank_lists(data, "mars-ap", rerank=rerank)
    distance = rerank.distances(data.query, data.gallery)
    for query, one in enumerate(ranked.lists):
        np.testing.assert_array_equal(one.scores, -distance[query, one.items])
        assert (np.diff(one.scores) <= 0).all()


def test_average_precision_by_hand() -> None:
    hits = np.array([False, True, True, False])
    assert average_precision(hits, "mean-precision") == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert average_precision(hits, "trapezoid") == pytest.approx(((0 + 1 / 2) / 2 + (1 / 2 + 2 / 3) / 2) / 2)
