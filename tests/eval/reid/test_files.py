"""Feature files: what is written comes back, and what others write is understood."""

import dataclasses
import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shared_data import shared

from specvid import memory
from specvid.eval import ReidFeatures, load_features, save_features, score_reid


def random_features(letters=False, known=True, dtype=np.float32):
    """A gallery of 30 with 6 queries in it, in no order, and, with ``known``, 2 more that are not."""
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((30, 5)).astype(dtype)
    ids, cams = rng.integers(5, 10, 30), rng.integers(0, 3, 30)
    index = np.array([5, 0, 15, 10, 25, 20])
    query, query_ids, query_cams = gallery[index], ids[index], cams[index]
    if known:
        query = np.concatenate([query, rng.standard_normal((2, 5)).astype(dtype)])
        query_ids, query_cams = np.append(query_ids, [5, 6]), np.append(query_cams, [0, 1])
        index = np.append(index, [-1, -1])
        order = np.array([6, 0, 1, 2, 7, 3, 4, 5])
        query, query_ids, query_cams, index = query[order], query_ids[order], query_cams[order], index[order]
    if letters:
        query_cams, cams = np.array(list("abc"))[query_cams], np.array(list("abc"))[cams]
    names = np.array([f"t{i}" for i in range(30)])
    query_names = np.array([f"t{i}" if i >= 0 else f"extra{n}" for n, i in enumerate(index)])
    return ReidFeatures(
        query,
        gallery,
        query_ids,
        ids,
        query_cams,
        cams,
        index if known else None,
        query_names,
        names,
        {"model": "r3d_tiny", "protocol": "mars"},
    )


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
@pytest.mark.parametrize("letters", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_round_trip(tmp_path, suffix, letters, dtype):
    features = random_features(letters, dtype=dtype)
    path = tmp_path / f"features{suffix}"
    save_features(path, features)
    back = load_features(path)
    assert back.about == features.about
    for name, value in vars(features).items():
        if name != "about":
            assert np.array_equal(getattr(back, name), value), name
    assert back.gallery.dtype == dtype
    for protocol in ("mars-ap", "mars-noquery"):
        assert back.score(protocol).mAP == features.score(protocol).mAP
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_unknown_places_of_queries(tmp_path, suffix):
    features = random_features(known=False)
    save_features(tmp_path / f"f{suffix}", features)
    back = load_features(tmp_path / f"f{suffix}")
    assert len(back.gallery) == 30
    assert back.score("mars-ap").mAP == features.score("mars-ap").mAP


def test_queries_that_a_row_cannot_hold_are_refused_in_parquet(tmp_path):
    features = random_features(known=False)
    index = np.array([5, 0, 5])
    twice = dataclasses.replace(
        features,
        query=features.gallery[index],
        query_ids=features.gallery_ids[index],
        query_cams=features.gallery_cams[index],
        query_names=None,
        query_index=index,
    )
    save_features(tmp_path / "f.npz", twice)
    assert load_features(tmp_path / "f.npz").query_index.tolist() == [5, 0, 5]
    others = dataclasses.replace(features, query_index=np.arange(6))
    for wrong, cause in ((twice, "row 5 more than once"), (others, "queries' features are not those")):
        with pytest.raises(ValueError, match=rf"{cause}.*save the features as \.npz"):
            save_features(tmp_path / "f.parquet", wrong)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
@pytest.mark.parametrize("words", [("True", "False"), ("true", "false"), (1, 0), (1.0, 0.0), ("1", "0")])
def test_flags_are_read_as_they_are_meant(tmp_path, suffix, words):
    back = load_features(write_table(tmp_path / f"f{suffix}", is_query=words, in_gallery=words[::-1]))
    assert back.query_ids.tolist() == [1, 2]
    assert back.gallery_ids.tolist() == [1, 2, 3]
    assert back.query_index.tolist() == [-1, -1]


@pytest.mark.parametrize("words", [(True, None), ("yes", "no"), (1, 2)])
def test_flags_that_say_nothing_are_refused(tmp_path, words):
    with pytest.raises(ValueError, match=r"f\.parquet: is_query is .* it must be true or false, or 1 or 0, in each"):
        load_features(write_table(tmp_path / "f.parquet", is_query=words))


def write_table(path, *, is_query, **flags):
    """Five tracklets, of which the first two have the first of each two flags."""
    columns = {"id": [1, 2, 1, 2, 3], "camera": [0, 0, 1, 1, 1]}
    columns |= {name: [yes] * 2 + [no] * 3 for name, (yes, no) in {"is_query": is_query, **flags}.items()}
    if path.suffix == ".npz":
        np.savez(path, features=np.eye(5), **columns)
    else:
        pq.write_table(pa.table({"feature": np.eye(5).tolist(), **columns}), path)
    return path


def test_many_batches(tmp_path, monkeypatch):
    from specvid.eval.reid import parquet

    monkeypatch.setattr(parquet, "_ROWS", 7)
    features = random_features()
    save_features(tmp_path / "f.parquet", features)
    assert np.array_equal(load_features(tmp_path / "f.parquet").gallery, features.gallery)


def test_parquet_of_somebody_else(tmp_path):
    features = random_features()
    columns = {
        "embedding": [row.tolist() for row in features.gallery],
        "pid": [f"p{i}" for i in features.gallery_ids],
        "camid": features.gallery_cams.tolist(),
        "is_query": [i in features.query_index for i in range(30)],
    }
    pq.write_table(pa.table(columns), tmp_path / "f.parquet")
    back = load_features(tmp_path / "f.parquet")
    assert back.query_index.tolist() == [0, 5, 10, 15, 20, 25]
    index = back.query_index
    expected = score_reid(
        features.gallery[index],
        features.gallery,
        features.gallery_ids[index],
        features.gallery_ids,
        features.gallery_cams[index],
        features.gallery_cams,
        protocol="mars-noquery",
    )
    assert back.score("mars-noquery").mAP == expected.mAP


@pytest.mark.parametrize("key", ["query_index", "query_IDX", "is_query"])
def test_npz_of_one_table(tmp_path, key):
    features = random_features(known=False)
    index = np.array([0, 5, 10, 15, 20, 25])
    who = {
        "query_index": index,
        "query_IDX": (index + 1)[None].astype(np.uint16),
        "is_query": np.isin(range(30), index),
    }
    np.savez(
        tmp_path / "f.npz",
        feat=features.gallery,
        pids=features.gallery_ids,
        camera=features.gallery_cams,
        **{key: who[key]},
    )
    back = load_features(tmp_path / "f.npz")
    assert np.array_equal(back.query, features.gallery[index])
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
        save_features(tmp_path / "g.csv", random_features())
    pq.write_table(pa.table({"feature": [[1.0]]}), tmp_path / "f.parquet")
    with pytest.raises(ValueError, match="lacks ids, cams, is_query"):
        load_features(tmp_path / "f.parquet")
    ragged = {"feature": [[1.0, 2.0], [1.0]], "id": [1, 2], "camera": [1, 2], "is_query": [True, False]}
    pq.write_table(pa.table(ragged), tmp_path / "f.parquet")
    with pytest.raises(ValueError, match="different length"):
        load_features(tmp_path / "f.parquet")


TABLE = {"features": np.eye(3), "ids": [1, 2, 1], "cams": [0, 1, 1]}
SIDES = {
    "query": np.eye(2),
    "gallery": np.eye(2),
    "query_ids": [1, 2],
    "gallery_ids": [1, 2],
    "query_cams": [0, 0],
    "gallery_cams": [1, 1],
}


@pytest.mark.parametrize(
    ("arrays", "cause"),
    [
        ({**TABLE, "ids": [1, 2], "query_index": [2]}, "ids have shape"),
        ({**TABLE, "is_query": [True, False]}, r"is_query has shape \(2,\); .* 3 feature rows"),
        ({**TABLE, "is_query": [True] * 3, "in_gallery": [True]}, "in_gallery has shape"),
        ({**TABLE, "cams": np.array([0, "a", None], object), "query_index": [0]}, "array cams holds Python objects"),
        ({**TABLE, "query_index": [0], "about": "no"}, r"metadata .*'no'.* is no JSON object"),
        ({**TABLE, "query_index": [0], "about": "[1]"}, "is no JSON object"),
        ({**SIDES, "gallery_ids": [1]}, "gallery ids have shape"),
        ({**SIDES, "query_names": ["a"]}, "query names have shape"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, arrays, cause):
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(ValueError, match=rf"f\.npz: .*{cause}"):
        load_features(tmp_path / "f.npz")


def npy(shape, data=b"", dtype="<f4"):
    """An array whose header claims ``shape``, whatever the data."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": dtype})
    return file.getvalue() + data


@pytest.mark.parametrize(
    ("gallery", "cause"),
    [
        (npy((10_000_000, 1024)), r"array gallery claims the shape \(10000000, 1024\) of float32, .* the 0 bytes"),
        (npy((2,), b"1234567"), "array gallery claims the shape"),
        (npy((-1, 2), b""), "array gallery claims the shape"),
        (b"not an array", "array gallery is no array of numbers"),
    ],
)
def test_a_kilobyte_does_not_claim_gigabytes(tmp_path, gallery, cause):
    np.savez(tmp_path / "f.npz", **{name: array for name, array in SIDES.items() if name != "gallery"})
    with zipfile.ZipFile(tmp_path / "f.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("gallery.npy", gallery)
    with pytest.raises(ValueError, match=rf"f\.npz: {cause}"):
        load_features(tmp_path / "f.npz")


def test_zeros_that_unpack_to_more_than_memory_are_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "f.npz", **{**SIDES, "gallery": np.zeros((3000, 1000))})
    table = {"feature": [[0.0] * 1000] * 3000, "id": [1] * 3000, "camera": [1] * 3000, "is_query": [True] * 3000}
    pq.write_table(pa.table(table), tmp_path / "f.parquet")
    monkeypatch.setattr(memory, "available_bytes", lambda: 2**24)
    for name, what in (("f.npz", "arrays"), ("f.parquet", "columns")):
        assert (tmp_path / name).stat().st_size < 2**18
        with pytest.raises(ValueError, match=rf"{name}: its {what} take 0\.0 GiB, and 0\.0 GiB of memory are free"):
            load_features(tmp_path / name)


@pytest.mark.parametrize("share", [0, 0.5])
@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_cut_off_files_are_named(tmp_path, suffix, share):
    path = tmp_path / f"f{suffix}"
    save_features(path, random_features())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf"f\{suffix}: "):
        load_features(path)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"feature": [1.0, 2.0]}, "column feature is of type double; each row must be a list of numbers"),
        ({"feature": ["a", "b"]}, "is of type string"),
        ({"feature": [["a"], ["b"]]}, "is of type list<"),
        ({"id": [1, None]}, "ids: 1 are missing|ids hold fractions or NaN"),
        ({"query_order": [1, 1]}, "query_order must number the 1 queries from 0 to 0"),
    ],
)
def test_columns_that_do_not_fit_are_named(tmp_path, change, cause):
    columns = {"feature": [[1.0], [2.0]], "id": [1, 1], "camera": [1, 2], "is_query": [True, False]} | change
    pq.write_table(pa.table(columns), tmp_path / "f.parquet")
    with pytest.raises(ValueError, match=rf"f\.parquet: .*({cause})"):
        load_features(tmp_path / "f.parquet")


def test_a_junk_note_in_parquet_is_named(tmp_path):
    table = pa.table({"feature": [[1.0], [2.0]], "id": [1, 1], "camera": [1, 2], "is_query": [True, False]})
    pq.write_table(table.replace_schema_metadata({"specvid": "no"}), tmp_path / "f.parquet")
    with pytest.raises(ValueError, match=r"f\.parquet: its metadata .* is no JSON object"):
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


def test_matlab_files_as_layumis_baseline_writes_them(tmp_path):
    """`scipy.io.savemat` of lists and arrays, as in its test.py: labels become rows of a matrix."""
    import scipy.io

    known = random_features(known=False)
    result = {
        f"{side}_{short}": getattr(known, name)
        for side in ("query", "gallery")
        for short, name in (("f", side), ("label", f"{side}_ids"), ("cam", f"{side}_cams"))
    }
    path = tmp_path / "pytorch_result.mat"
    for compressed in (False, True):
        scipy.io.savemat(path, result, do_compression=compressed)
        read = load_features(path)
        for name in ("query", "gallery", "query_ids", "gallery_ids", "query_cams", "gallery_cams"):
            np.testing.assert_array_equal(getattr(read, name), getattr(known, name))
        assert read.score("cross-camera").mAP == known.score("cross-camera").mAP
    content = path.read_bytes()
    for cut in range(0, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:cut])
        with pytest.raises(ValueError, match=r"pytorch_result\.mat: "):
            load_features(path)
    scipy.io.savemat(path, {**result, "query_f": np.array([{"a": 1}], object)})
    with pytest.raises(ValueError, match=r"array query_f is a (cell|struct|object); save it as numbers"):
        load_features(path)
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + bytes(512))
    with pytest.raises(ValueError, match=r"version 7.3; save it with -v7"):
        load_features(path)


def test_a_matlab_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    import scipy.io

    path = tmp_path / "bomb.mat"
    scipy.io.savemat(path, {"query_f": np.zeros((4000, 1000)), "gallery_f": np.zeros(1)}, do_compression=True)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(memory, "available_bytes", lambda: 2**20)
    with pytest.raises(ValueError, match=r"its arrays take 0.0 GiB, and 0.0 GiB of memory are free"):
        load_features(path)
