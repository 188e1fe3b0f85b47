"""The score object: what it prints and writes, and the mean over splits."""

import csv
import json

import numpy as np
import pytest

from specvid.eval import over_splits, score_reid
from specvid.eval.reid.score import score_protocols


def split(seed, identities=20):
    """One split of a two-camera set: one match each, right for most."""
    rng = np.random.default_rng(seed)
    centre = rng.standard_normal((identities, 4))
    ids = np.arange(identities)
    query, gallery = (centre + 0.7 * rng.standard_normal((identities, 4)) for _ in range(2))
    return query, gallery, ids, ids, ["cam_a"] * identities, ["cam_b"] * identities


def test_one_match_each_means_ap_is_one_by_rank():
    score = score_reid(*split(0), protocol="prid2011")
    assert np.array_equal(score.matches, np.ones(20))
    np.testing.assert_allclose(score.ap, 1 / score.first_rank)
    np.testing.assert_allclose(score.inp, score.ap)
    assert 0 < score.rank(1) < 1


def test_rank_and_cmc_agree_beyond_its_length():
    score = score_reid(*split(0), protocol="prid2011")
    assert score.cmc.shape == (50,)
    assert [score.rank(k) for k in range(1, 51)] == score.cmc.tolist()
    assert score.rank(10_000) == 1.0
    with pytest.raises(ValueError, match="rank 0"):
        score.rank(0)


def test_printed_line_names_protocol_and_numbers():
    query, gallery, ids, _, cams_a, cams_b = split(1)
    gallery_ids = np.where(ids < 3, -1, ids)
    score = score_reid(query, gallery, ids, gallery_ids, cams_a, cams_b, protocol="mars")
    text = str(score)
    assert text.startswith(f"mars: mAP {100 * score.mAP:.2f}")
    assert "17 of 20 queries valid, 20 gallery tracklets (3 of them junk), cosine" in text
    assert "trapezoid" in text
    index = np.full(len(ids), -1)
    text = str(score_reid(query, gallery, ids, gallery_ids, cams_a, cams_b, protocol="mars-noquery", query_index=index))
    assert "17 gallery tracklets (left out: 0 queries, 3 junk)" in text


def test_json_and_csv(tmp_path):
    query, gallery, ids, _, cams_a, cams_b = split(2)
    score = score_reid(query, gallery, ids, np.where(ids == 7, 99, ids), cams_a, cams_b, protocol="cross-camera")
    score.save_json(tmp_path / "score.json")
    score.save_csv(tmp_path / "score.csv", names=[f"tracklet {i}" for i in ids])
    figures = json.loads((tmp_path / "score.json").read_text())
    assert (figures["protocol"], figures["mAP"], figures["rank5"]) == ("cross-camera", score.mAP, score.rank(5))
    assert (figures["valid_queries"], figures["queries"], figures["gallery_tracklets"]) == (19, 20, 20)
    assert figures["per_query"][7] == {
        "query": 7,
        "id": 7,
        "camera": "cam_a",
        "matches": 0,
        "ap": None,
        "inp": None,
        "first_rank": None,
        "last_rank": None,
    }
    with (tmp_path / "score.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert (rows[3]["protocol"], rows[3]["name"]) == ("cross-camera", "tracklet 3")
    assert np.mean([float(row["ap"]) for row in rows if row["ap"]]) == pytest.approx(score.mAP)


def test_mean_and_deviation_over_splits():
    scores = [score_reid(*split(seed), protocol="prid2011") for seed in range(10)]
    mean = over_splits(scores)
    assert mean.protocol == "prid2011"
    assert mean.mAP == pytest.approx(np.mean([score.mAP for score in scores]))
    assert mean.mINP == pytest.approx(np.mean([score.mINP for score in scores]))
    assert mean.rank(1) == mean.cmc[0] == pytest.approx(np.mean([score.rank(1) for score in scores]))
    assert mean.deviation() == pytest.approx(np.std([score.mAP for score in scores], ddof=1))
    assert mean.deviation("rank", 5) == pytest.approx(np.std([score.rank(5) for score in scores], ddof=1))
    assert "mean ± deviation of 10 splits" in str(mean)
    assert "published figures average 10" in str(over_splits(scores[:1]))
    assert over_splits(scores[:1]).deviation() == 0
    assert len(json.loads(json.dumps(mean.as_dict()))["splits"]) == 10
    with pytest.raises(ValueError, match="choose mAP, mINP or rank"):
        mean.deviation("map")


def test_splits_of_different_protocols_have_no_mean():
    scores = [score_reid(*split(0), protocol=name) for name in ("prid2011", "cross-camera")]
    with pytest.raises(ValueError, match="cross-camera, prid2011"):
        over_splits(scores)
    with pytest.raises(ValueError, match="no split"):
        over_splits([])


def test_several_protocols_side_by_side():
    scores = score_protocols(*split(3), protocols=("mars", "mars-ap"))
    assert [score.protocol for score in scores.values()] == ["mars", "mars-ap"]
    assert scores["mars"].mAP < scores["mars-ap"].mAP  # the trapezoid counts the precision before each match too
    assert scores["mars"].rank(1) == scores["mars-ap"].rank(1)


def test_a_table_holds_no_formula(tmp_path):
    arrays = split(0)
    score = score_reid(*arrays)
    score.save_csv(tmp_path / "queries.csv", [f"=HYPERLINK({number})" for number in range(len(arrays[0]))])
    lines = (tmp_path / "queries.csv").read_text().splitlines()[1:]
    assert lines and all("'=HYPERLINK(" in line for line in lines)
