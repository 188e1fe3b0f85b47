"""Feature files: what is written comes back, and what others write is understood."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shared_data import shared

from specvid.eval import ReidFeatures, load_features, save_features, score_reid


def draw(letters=False, known=True, dtype=np.float32):
    """A gallery of 30 with 6 queries in it and, with ``known``, 2 more that are not."""
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((30, 5)).astype(dtype)
    ids, cams = rng.integers(5, 10, 30), rng.integers(0, 3, 30)
    index = np.array([0, 5, 10, 15, 20, 25])
    query, query_ids, query_cams = gallery[index], ids[index], cams[index]
    if known:
        query = np.concatenate([query, rng.standard_normal((2, 5)).astype(dtype)])
        query_ids, query_cams = np.append(query_ids, [5, 6]), np.append(query_cams, [0, 1])
        index = np.append(index, [-1, -1])
    if letters:
        query_cams, cams = np.array(list("abc"))[query_cams], np.array(list("abc"))[cams]
    names = np.array([f"t{i}" for i in range(30)])
    query_names = np.array([f"t{i}" if i >= 0 else f"extra{n}" for n, i in enumerate(index)])
    return ReidFeatures(
        query, gallery, query_ids, ids, query_cams, cams, index if known else None, query_names, names,
        {"model": "r3d_tiny", "protocol": "mars"},
    )  # fmt: skip


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
@pytest.mark.parametrize("letters", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_round_trip(tmp_path, suffix, letters, dtype):
    features = draw(letters, dtype=dtype)
    path = tmp_path / f"features{suffix}"
    save_features(path, features)
    back = load_features(path)
    assert back.about == features.about
    # The order of queries is that of the gallery; here it is the same.
    for name, value in vars(features).items():
        if name != "about":
            assert np.array_equal(getattr(back, name), value), name
    assert back.gallery.dtype == dtype
    for protocol in ("mars-ap", "mars-noquery"):
        assert back.score(protocol).mAP == features.score(protocol).mAP
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_unknown_places_of_queries(tmp_path, suffix):
    features = draw(known=False)
    save_features(tmp_path / f"f{suffix}", features)
    back = load_features(tmp_path / f"f{suffix}")
    assert len(back.gallery) == 30
    assert back.score("mars-ap").mAP == features.score("mars-ap").mAP


def test_many_batches(tmp_path, monkeypatch):
    from specvid.eval import feature_files

    monkeypatch.setattr(feature_files, "_ROWS", 7)
    features = draw()
    save_features(tmp_path / "f.parquet", features)
    assert np.array_equal(load_features(tmp_path / "f.parquet").gallery, features.gallery)


def test_parquet_of_somebody_else(tmp_path):
    features = draw()
    columns = {
        "embedding": [row.tolist() for row in features.gallery],
        "pid": [f"p{i}" for i in features.gallery_ids],
        "camid": features.gallery_cams.tolist(),
        "is_query": [i in features.query_index for i in range(30)],
    }
    pq.write_table(pa.table(columns), tmp_path / "f.parquet")
    back = load_features(tmp_path / "f.parquet")
    assert back.query_index.tolist() == [0, 5, 10, 15, 20, 25]
    index = features.query_index[:6]
    expected = score_reid(
        features.gallery[index], features.gallery, features.gallery_ids[index], features.gallery_ids,
        features.gallery_cams[index], features.gallery_cams, protocol="mars-noquery",
    )  # fmt: skip
    assert back.score("mars-noquery").mAP == expected.mAP


@pytest.mark.parametrize("key", ["query_index", "query_IDX", "is_query"])
def test_npz_of_one_table(tmp_path, key):
    features = draw(known=False)
    index = np.array([0, 5, 10, 15, 20, 25])
    who = {
        "query_index": index,
        "query_IDX": (index + 1)[None].astype(np.uint16),
        "is_query": np.isin(range(30), index),
    }
    np.savez(
        tmp_path / "f.npz",
        feat=features.gallery, pids=features.gallery_ids, camera=features.gallery_cams, **{key: who[key]},
    )  # fmt: skip
    back = load_features(tmp_path / "f.npz")
    assert np.array_equal(back.query, features.query)
    assert np.array_equal(back.query_index, index)


@pytest.mark.parametrize(
    ("arrays", "cause"),
    [
        ({"query": np.eye(2)}, "has the arrays query; it needs"),
        ({"features": np.eye(2), "ids": [1, 2], "cams": [0, 1]}, "query_index or is_query"),
        ({"features": np.eye(2), "ids": [1, 2], "cams": [0, 1], "query_index": [2]}, "names rows from 0 to 1"),
        ({"features": np.eye(2), "ids": [1, 2], "cams": [0, 1], "is_query": [False, False]}, "0 rows are queries"),
    ],
)
def test_what_is_missing_is_named(tmp_path, arrays, cause):
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(ValueError, match=cause):
        load_features(tmp_path / "f.npz")


def test_bad_files_are_named(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        load_features(tmp_path / "none.npz")
    (tmp_path / "f.csv").write_text("x")
    with pytest.raises(ValueError, match=r"not from \.csv"):
        load_features(tmp_path / "f.csv")
    with pytest.raises(ValueError, match=r"not as \.csv"):
        save_features(tmp_path / "g.csv", draw())
    pq.write_table(pa.table({"feature": [[1.0]]}), tmp_path / "f.parquet")
    with pytest.raises(ValueError, match="lacks ids, cams, is_query"):
        load_features(tmp_path / "f.parquet")
    ragged = {"feature": [[1.0, 2.0], [1.0]], "id": [1, 2], "camera": [1, 2], "is_query": [True, False]}
    pq.write_table(pa.table(ragged), tmp_path / "f.parquet")
    with pytest.raises(ValueError, match="different length"):
        load_features(tmp_path / "f.parquet")


@pytest.mark.data
@pytest.mark.parametrize("name", ["mars_features_64d", "market_osnet_subset"])
def test_the_golden_files_are_understood(name):
    folder = shared("golden/reid")
    features = load_features(folder / f"{name}.npz")
    if name.startswith("mars"):
        expected = json.loads((folder / "mars_expected.json").read_text())["expected"]
        assert features.score("mars").mAP == pytest.approx(next(iter(expected.values()))["mAP"], abs=1e-6)
    else:
        expected = json.loads((folder / "market_expected.json").read_text())
        assert features.score("cross-camera").mAP == pytest.approx(expected["cosine"]["mAP"], abs=1e-6)
