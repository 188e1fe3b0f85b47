"""score_reid against the published definitions, the golden numbers, and itself in other blocks."""

import json
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import shared
from slow_reid import slow_score

from specvid.eval import PROTOCOLS, NoMatchError, score_reid


def random_arrays(seed, queries=12, gallery=60, dims=8, identities=6, cameras=3, integers=False):
    """Random arrays in the order of score_reid; with ``integers`` the features are full of ties."""
    rng = np.random.default_rng(seed)
    make = (
        (lambda n: rng.integers(-1, 2, (n, dims)).astype(np.float32))
        if integers
        else (lambda n: rng.standard_normal((n, dims)).astype(np.float32))
    )
    return (
        make(queries),
        make(gallery),
        rng.integers(1, identities + 1, queries),
        rng.integers(-1, identities + 1, gallery),
        rng.integers(0, cameras, queries),
        rng.integers(0, cameras, gallery),
    )


def check_against_slow(arrays, protocol, metric="cosine", **options):
    """Every figure of score_reid equals the slow reference, or both find nothing to score."""
    rules = PROTOCOLS[protocol]
    gallery_ids = np.asarray(arrays[3])
    leave_out = np.flatnonzero(np.isin(gallery_ids, rules.junk)) if rules.leaves_out_junk else []
    slow = slow_score(arrays, ap=rules.ap, junk_ids=rules.junk, leave_out=leave_out, metric=metric)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not slow["valid"]:
            with pytest.raises(NoMatchError):
                score_reid(*arrays, protocol=protocol, metric=metric, **options)
            return None
        score = score_reid(*arrays, protocol=protocol, metric=metric, **options)
    assert score.valid_queries == slow["valid"]
    assert score.matches.tolist() == slow["matches"]
    assert score.first_rank.tolist() == slow["first"]
    assert score.last_rank.tolist() == slow["last"]
    np.testing.assert_allclose(score.ap, slow["ap"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(score.inp, slow["inp"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(score.cmc, slow["cmc"], rtol=0, atol=1e-12)
    assert score.mAP == pytest.approx(slow["mAP"], abs=1e-12)
    assert score.mINP == pytest.approx(slow["mINP"], abs=1e-12)
    return score


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_equals_the_slow_reference(protocol, metric):
    # No query lies in this gallery, so mars-noquery takes out its junk only.
    assert check_against_slow(random_arrays(1), protocol, metric) is not None


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 6),
    gallery=st.integers(1, 40),
    identities=st.integers(1, 5),
    cameras=st.integers(1, 3),
    ties=st.booleans(),
    protocol=st.sampled_from(["mars", "mars-ap", "cross-camera", "prid2011"]),
    metric=st.sampled_from(["cosine", "euclidean"]),
    block=st.integers(1, 50),
)
def test_random_galleries(seed, queries, gallery, identities, cameras, ties, protocol, metric, block):
    arrays = random_arrays(seed, queries, gallery, 3 if ties else 6, identities, cameras, integers=ties)
    check_against_slow(arrays, protocol, metric, block=block)


@pytest.mark.parametrize("matches", [3, 40])
def test_ties_go_by_place_in_the_gallery(matches):
    # Everything is equally similar, so that the ranking is the order of the gallery: a wrong item, then the matches.
    gallery = np.ones((matches + 1, 4), np.float32)
    ids = np.array([2] + [1] * matches)
    arrays = (gallery[:1], gallery, [1], ids, [0], np.ones(matches + 1, int))
    score = score_reid(*arrays, protocol="cross-camera")
    assert (score.first_rank[0], score.last_rank[0]) == (2, matches + 1)
    backwards = score_reid(
        gallery[:1], gallery, [1], ids[::-1], [0], np.ones(matches + 1, int), protocol="cross-camera"
    )
    assert (backwards.first_rank[0], backwards.last_rank[0]) == (1, matches)


def test_differences_below_float32_decide():
    # In float32 the two similarities are equal, and the wrong one comes first in the gallery; in float64 the match
    # wins.
    query = np.array([[1.0, 1e-6]])
    gallery = np.array([[1.0, 0.0], [1.0, 1e-6]])
    assert np.float32(query @ gallery[0])[0] == np.float32(query @ gallery[1])[0]
    score = score_reid(query, gallery, [1], [2, 1], [0], [1, 1], protocol="cross-camera", metric="cosine")
    assert score.first_rank[0] == 1


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_blocks_do_not_change_anything(metric):
    rng = np.random.default_rng(3)
    base = rng.standard_normal((20, 64)).astype(np.float32)
    # Copies and near copies: many pairs that float32 sums put in an order that hangs on the block.
    gallery = np.repeat(base, 20, axis=0) + (rng.random((400, 64)) < 0.01).astype(np.float32) * np.float32(1e-6)
    ids, cams = rng.integers(0, 15, 400), rng.integers(0, 4, 400)
    arrays = (gallery[::10], gallery, ids[::10], ids, cams[::10], cams)
    at_once = score_reid(*arrays, protocol="mars", metric=metric)
    for block in (7, 64, 399, 400):
        score = score_reid(*arrays, protocol="mars", metric=metric, block=block)
        assert np.array_equal(score.ap, at_once.ap, equal_nan=True)
        assert np.array_equal(score.last_rank, at_once.last_rank)
        assert score.mAP == at_once.mAP


def test_ranks_are_those_of_faiss_search():
    import faiss

    arrays = random_arrays(4, queries=20, gallery=300, dims=16)
    query, gallery, query_ids, gallery_ids, query_cams, gallery_cams = arrays
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(16)
    index.add(gallery)
    _, order = index.search(query, 300)
    score = score_reid(query, gallery, query_ids, gallery_ids, query_cams, gallery_cams, protocol="cross-camera")
    for i in range(20):
        own = (gallery_ids[order[i]] == query_ids[i]) & (gallery_cams[order[i]] == query_cams[i])
        hits = (gallery_ids[order[i]] == query_ids[i])[~own]
        assert score.first_rank[i] == 1 + np.flatnonzero(hits)[0]
        assert score.last_rank[i] == 1 + np.flatnonzero(hits)[-1]


@pytest.mark.parametrize("kind", ["float16", "float64", "tensor", "bfloat16", "list"])
def test_features_of_any_kind(kind):
    arrays = random_arrays(5, integers=True)  # exact in every type
    as_kind = {
        "float16": lambda x: x.astype(np.float16),
        "float64": lambda x: x.astype(np.float64),
        "list": lambda x: x.tolist(),
        "tensor": lambda x: torch.from_numpy(x).requires_grad_(),
        "bfloat16": lambda x: torch.from_numpy(x).bfloat16(),
    }[kind]
    expected = score_reid(*arrays, protocol="mars")
    score = score_reid(as_kind(arrays[0]), as_kind(arrays[1]), *arrays[2:], protocol="mars")
    assert score.mAP == expected.mAP
    assert np.array_equal(score.last_rank, expected.last_rank)


def test_ids_from_anywhere_and_cameras_as_letters():
    arrays = random_arrays(6)
    expected = score_reid(*arrays, protocol="cross-camera")
    renamed = [1000 + 7 * np.asarray(ids) for ids in arrays[2:4]]
    letters = [np.array(list("cab"))[cams] for cams in arrays[4:]]
    score = score_reid(*arrays[:2], *renamed, *letters, protocol="cross-camera")
    assert np.array_equal(score.ap, expected.ap, equal_nan=True)
    names = [[f"person_{i:04d}" for i in ids] for ids in arrays[2:4]]
    score = score_reid(*arrays[:2], *names, *letters, protocol="cross-camera")
    assert np.array_equal(score.ap, expected.ap, equal_nan=True)
    assert score.per_query()[0]["id"] == f"person_{arrays[2][0]:04d}"
    assert score.per_query()[0]["camera"] in "abc"


def test_junk_is_junk_as_a_number_and_as_a_string():
    arrays = random_arrays(7)
    expected = score_reid(*arrays, protocol="mars")
    assert expected.junk_tracklets == (arrays[3] == -1).sum() > 0
    score = score_reid(*arrays[:2], arrays[2].astype(str), arrays[3].astype(str), *arrays[4:], protocol="mars")
    assert np.array_equal(score.ap, expected.ap, equal_nan=True)
    folders = np.where(arrays[3] == -1, "00-1", arrays[3].astype(str))  # as MARS calls them
    score = score_reid(*arrays[:2], arrays[2].astype(str), folders, *arrays[4:], protocol="mars")
    assert score.junk_tracklets == expected.junk_tracklets
    # Own data may use any number: under cross-camera -1 is an identity like others.
    assert score_reid(*arrays, protocol="cross-camera").junk_tracklets == 0


def mars_like(seed=8):
    """A gallery of which the queries are a part, as MARS has it."""
    _, gallery, _, ids, _, cams = random_arrays(seed, gallery=80)
    index = np.flatnonzero(ids > 0)[::4]
    return gallery, ids, cams, index


def test_noquery_leaves_the_queries_out():
    gallery, ids, cams, index = mars_like()
    arrays = (gallery[index], gallery, ids[index], ids, cams[index], cams)
    leave_out = np.union1d(index, np.flatnonzero(ids == -1))
    slow = slow_score(arrays, ap="mean-precision", leave_out=leave_out)
    for given_index in (index, None):
        score = score_reid(*arrays, protocol="mars-noquery", query_index=given_index)
        assert score.gallery_tracklets == len(gallery) - len(leave_out)
        assert (score.left_out_queries, score.left_out_junk) == (len(index), (ids == -1).sum())
        np.testing.assert_allclose(score.ap, slow["ap"], atol=1e-12)
    # Who leaves them out beforehand gets the same.
    kept = np.setdiff1d(np.arange(len(gallery)), leave_out)
    before = score_reid(
        gallery[index],
        gallery[kept],
        ids[index],
        ids[kept],
        cams[index],
        cams[kept],
        protocol="mars-noquery",
        query_index=np.full(len(index), -1),
    )
    assert before.mAP == score.mAP


def test_noquery_says_when_only_some_queries_are_found():
    gallery, ids, cams, index = mars_like()
    query = gallery[index].copy()
    query[0] += 1e-3
    with pytest.warns(UserWarning, match=f"{len(index) - 1} of {len(index)} queries were found"):
        score_reid(query, gallery, ids[index], ids, cams[index], cams, protocol="mars-noquery")


def test_noquery_says_when_no_query_is_found():
    gallery, ids, cams, index = mars_like()
    with pytest.warns(UserWarning, match=f"0 of {len(index)} queries were found"):
        score = score_reid(gallery[index] + 1e-3, gallery, ids[index], ids, cams[index], cams, protocol="mars-noquery")
    assert "(left out: 0 queries, " in str(score)


@pytest.mark.parametrize("kinds", [(np.float16, np.float32), (np.float64, np.float16)])
def test_noquery_finds_queries_that_were_kept_in_another_precision(kinds):
    gallery, ids, cams, index = mars_like()
    query, gallery = gallery[index].astype(kinds[0]), gallery.astype(kinds[1])
    score = score_reid(query, gallery, ids[index], ids, cams[index], cams, protocol="mars-noquery")
    assert score.left_out_queries == len(index)


def test_many_matches_in_a_split_protocol_are_said():
    with pytest.warns(UserWarning, match="one match a query"):
        score_reid(*random_arrays(9), protocol="ilids-vid")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"query_cams": "c", "gallery_cams": "c"}, "all tracklets have the camera c"),
        ({"gallery_ids": -1}, "10 of junk identities"),
        ({"gallery_ids": 99}, r"share no identity \(queries 1, 2, 3, 4 ... \(5 in all\); gallery 99\)"),
        ({"own camera": True}, "but under their own camera"),
    ],
)
def test_no_match_names_the_cause(change, cause):
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((10, 4))
    ids = np.arange(10) % 5 + 1
    cams = np.array(["a", "b"] * 5)
    arrays = {"query_ids": ids[:5], "gallery_ids": ids, "query_cams": cams[:5], "gallery_cams": cams}
    if change.pop("own camera", False):
        cams = np.array(["a", "b", "a", "b", "a"] * 2)
        arrays |= {"query_cams": cams[:5], "gallery_cams": cams}
    arrays |= {name: np.full(len(arrays[name]), value) for name, value in change.items()}
    with pytest.raises(NoMatchError, match=cause):
        score_reid(gallery[:5], gallery, **arrays, protocol="mars")


def test_gallery_of_queries_only_names_the_cause():
    x = np.eye(3)
    with pytest.raises(NoMatchError, match="3 that are queries themselves"):
        score_reid(x, x, [1, 1, 2], [1, 1, 2], [0, 1, 2], [0, 1, 2], protocol="mars-noquery")


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"protocol": "mars-qp"}, "Did you mean"),
        ({"protocol": None}, "protocol 'None' is unknown"),
        ({"rerank": True}, r"rerank is True; it must be None, or KReciprocal\(\)"),
        ({"metric": "cosin"}, "Did you mean 'cosine'"),
        ({"query": np.zeros((12, 9), np.float32)}, "9 dimensions and gallery features 8"),
        ({"query": np.full((12, 8), np.nan, np.float32)}, "12 query features are not finite"),
        ({"gallery": np.zeros((60,), np.float32)}, r"gallery features have shape \(60,\)"),
        ({"gallery": np.zeros((0, 8), np.float32)}, "nothing to compare"),
        ({"query_ids": [1, 2]}, "query ids have shape"),
        ({"query_ids": np.full(12, 1.5)}, "query ids hold fractions"),
        ({"query_ids": ["a"] * 12}, "query ids are strings and gallery ids numbers"),
        ({"query_cams": [1, "a"] * 6}, "query cameras mix numbers and strings"),
        ({"query_cams": np.array([None] * 12)}, "12 are missing"),
        ({"block": 0}, "block is 0"),
        ({"protocol": "mars-noquery", "query_index": np.arange(12) + 60}, "counts from 1"),
    ],
)
def test_mistakes_are_named(change, cause):
    names = ("query", "gallery", "query_ids", "gallery_ids", "query_cams", "gallery_cams")
    with pytest.raises(ValueError, match=cause):
        score_reid(**(dict(zip(names, random_arrays(10), strict=True)) | change))


def test_a_zero_feature_is_like_nothing():
    gallery = np.array([[0, 0], [1, 0], [-1, 0]], np.float32)
    score = score_reid(np.array([[1, 0]], np.float32), gallery, [1], [1, 2, 3], [0], [1, 1, 1], protocol="cross-camera")
    assert score.first_rank[0] == 2  # between the parallel and the opposite one


@pytest.mark.data
@pytest.mark.parametrize(
    ("protocol", "key"), [("mars", "trapezoid AP"), ("mars-ap", "AP3D"), ("mars-noquery", "torchreid")]
)
def test_golden_mars(protocol, key):
    folder = shared("golden/reid")
    expected = json.loads((folder / "mars_expected.json").read_text())["expected"]
    expected = next(figures for title, figures in expected.items() if key in title)
    with np.load(folder / "mars_features_64d.npz") as file:
        features, ids, cams, index = file["features"], file["pid"], file["camid"], file["query_index"]
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    score = score_reid(features[index], features, ids[index], ids, cams[index], cams, protocol=protocol)
    assert score.protocol == protocol
    assert (score.valid_queries, score.queries, score.gallery_tracklets) == tuple(
        expected[name] for name in ("queries_valid", "queries", "gallery")
    )
    assert score.mAP == pytest.approx(expected["mAP"], abs=1e-6)
    assert score.mINP == pytest.approx(expected["mINP"], abs=1e-6)
    for k in (1, 5, 10, 20):
        assert score.rank(k) == pytest.approx(expected[f"rank{k}"], abs=1e-6)


@pytest.mark.data
@pytest.mark.parametrize(("metric", "key"), [("cosine", "cosine"), ("euclidean", "euclid")])
def test_golden_market(metric, key):
    folder = shared("golden/reid")
    expected = json.loads((folder / "market_expected.json").read_text())[key]
    with np.load(folder / "market_osnet_subset.npz") as file:
        arrays = [file[name] for name in ("qf", "gf", "q_pid", "g_pid", "q_cam", "g_cam")]
    score = score_reid(*arrays, protocol="cross-camera", metric=metric)
    assert score.mAP == pytest.approx(expected["mAP"], abs=1e-6)
    np.testing.assert_allclose(score.cmc[:20], expected["cmc"], rtol=0, atol=1e-6)
