"""The re-ID layouts: official files are read, frames in order, mistakes named."""

import gzip
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
from PIL import Image
from shared_data import shared

from specvid.datasets.layouts.registry import REID_SETS, read_reid
from specvid.datasets.layouts.reid_set import Tracklet, in_order, labels_of
from specvid.datasets.synthetic.gait import Gait
from specvid.datasets.synthetic.reid import (
    synthesize_ilids_vid,
    synthesize_mars,
    synthesize_prid2011,
    synthesize_tracklets,
)

SMALL = Gait(identities=4, frames=8)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """{dataset: folder} of small synthetic sets in every layout. Copy before changing."""
    root = tmp_path_factory.mktemp("synthetic")
    synthesize_mars(root / "mars", tracklets=8, distractors=3, junk=2, task=SMALL)
    synthesize_ilids_vid(root / "ilids-vid", task=SMALL)
    synthesize_prid2011(root / "prid2011", task=SMALL)
    synthesize_tracklets(root / "tracklets", tracklets=4, task=SMALL)
    return {name: root / name for name in REID_SETS}


@pytest.fixture
def copy(synthetic, tmp_path):
    """A copy of one layout that may be damaged."""
    return lambda name: shutil.copytree(synthetic[name], tmp_path / "copy")


@pytest.mark.parametrize("name", sorted(REID_SETS))
def test_synthetic_layouts(synthetic, name):
    data = read_reid(name, synthetic[name])
    for tracklet in (*data.train, *data.test):
        assert len(tracklet) == 8
        assert all(tracklet.path(i).is_file() for i in range(8))
    assert not {tracklet.pid for tracklet in data.train} & {tracklet.pid for tracklet in data.test}
    assert len({tracklet.name for tracklet in data.test}) == len(data.test)
    assert not data.is_complete
    assert data.protocol == {"tracklets": "cross-camera"}.get(name, name)


def test_mars(synthetic):
    data = read_reid("mars", synthetic["mars"])
    assert len(data.train) == 2 * 8
    assert len(data.test) == 2 * 8 + 3 + 2
    assert [tracklet.pid for tracklet in data.test].count(0) == 3
    assert [tracklet.pid for tracklet in data.test].count(-1) == 2
    assert {tracklet.camid for tracklet in data.train} == {1, 2, 3, 4, 5, 6}
    assert np.array_equal(data.gallery, np.arange(len(data.test)))
    assert np.array_equal(data.query_index, data.query)
    assert len(data.query) == 2 * 6
    assert all(data.test[row].pid > 0 and data.test[row].name.endswith("T0001") for row in data.query)
    assert data.title == "MARS cut down to 21 of 12,180 test tracklets"


def test_mars_frames_are_sorted_by_number(copy):
    root = copy("mars")
    path = root / "info" / "train_name.txt"
    names = path.read_text().split()
    before = read_reid("mars", root).train[0]
    path.write_text("\n".join([*reversed(names[:8]), *names[8:]]) + "\n")
    assert read_reid("mars", root).train[0] == before
    assert in_order(["F1000.jpg", "F999.jpg", "F2.jpg"]) == ("F2.jpg", "F999.jpg", "F1000.jpg")
    assert in_order(["10_99.png", "9_100.png"]) == ("9_100.png", "10_99.png")  # as long, and yet not as text


def test_mars_lists_may_be_packed(copy):
    root = copy("mars")
    path = root / "info" / "test_name.txt"
    (root / "info" / "test_name.txt.gz").write_bytes(gzip.compress(path.read_bytes()))
    expected = read_reid("mars", root).test
    path.unlink()
    assert read_reid("mars", root).test == expected


def change_rows(root, file, variable, change):
    path = root / "info" / f"{file}.mat"
    value = scipy.io.loadmat(path)[variable].copy()
    scipy.io.savemat(path, {variable: change(value)})


def with_value(place, value):
    def change(rows):
        rows[place] = value
        return rows

    return change


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (lambda root: shutil.rmtree(root / "info"), "no folder info"),
        (lambda root: (root / "info/train_name.txt").unlink(), "train_name.txt is missing"),
        (lambda root: (root / "info/query_IDX.mat").unlink(), "query_IDX.mat is missing"),
        (lambda root: (root / "info/query_IDX.mat").write_text("no"), "cannot be read as a MATLAB file"),
        (lambda root: change_rows(root, "query_IDX", "query_IDX", lambda q: q - q.min()), "from 1 to 21"),
        (
            lambda root: change_rows(root, "tracks_train_info", "track_train_info", with_value((1, 1), 10**6)),
            "do not exist",
        ),
        (
            lambda root: change_rows(root, "tracks_train_info", "track_train_info", with_value((1, 0), 8)),
            "more than one",
        ),
        (
            lambda root: change_rows(root, "tracks_train_info", "track_train_info", with_value((1, 2), 9)),
            "says identity 9",
        ),
        (lambda root: change_rows(root, "tracks_train_info", "track_train_info", with_value((0, 3), 5)), "camera 5"),
    ],
)
def test_damaged_mars_is_named(copy, damage, cause):
    root = copy("mars")
    damage(root)
    with pytest.raises(ValueError, match=cause):
        read_reid("mars", root)


@pytest.mark.parametrize("name", ["ilids-vid", "prid2011"])
def test_two_cameras(synthetic, name):
    queries = set()
    for split in range(1, 11):
        data = read_reid(name, synthetic[name], split=split)
        assert (len(data.train), len(data.test)) == (4, 4)
        query, gallery = ([data.test[row] for row in rows] for rows in (data.query, data.gallery))
        assert [tracklet.pid for tracklet in query] == [tracklet.pid for tracklet in gallery]
        assert {tracklet.camid for tracklet in query} == {"cam1" if name == "ilids-vid" else "cam_a"}
        assert {tracklet.camid for tracklet in gallery} == {"cam2" if name == "ilids-vid" else "cam_b"}
        assert (data.query_index == -1).all()
        assert (data.split, data.splits) == (split, 10)
        queries.add(tuple(tracklet.pid for tracklet in query))
    assert len(queries) > 1
    with pytest.raises(ValueError, match="splits 1 to 10"):
        read_reid(name, synthetic[name], split=11)


def test_ilids_matlab_splits_count_from_one_and_test_comes_first(synthetic):
    root = synthetic["ilids-vid"]
    places = scipy.io.loadmat(root / "train-test people splits/train_test_splits_ilidsvid.mat")["ls_set"].astype(int)
    data = read_reid("ilids-vid", root, split=3)
    half = places.shape[1] // 2
    assert {tracklet.pid for tracklet in data.test} == {f"person{i:03d}" for i in places[2, :half]}
    assert {tracklet.pid for tracklet in data.train} == {f"person{i:03d}" for i in places[2, half:]}


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (with_value((6, 0), 99), "row 7 of ls_set: each of the places 1 to 4 .* must come once, 99 does not"),
        (lambda rows: with_value((2, 0), rows[2, 1])(rows), "row 3 of ls_set.*must come once"),
        (lambda rows: rows[:, :3], r"ls_set has shape \(10, 3\); each row must order the 4 identities"),
        (lambda rows: rows + 0.5, "must hold whole numbers"),
        (None, "cannot be read as a MATLAB file"),
    ],
)
def test_damaged_ilids_splits_are_named(copy, damage, cause):
    path = copy("ilids-vid") / "train-test people splits/train_test_splits_ilidsvid.mat"
    places = scipy.io.loadmat(path)["ls_set"].astype(int)
    if damage is None:
        path.write_bytes(b"junk" * 200)
    else:
        scipy.io.savemat(path, {"ls_set": damage(places)})
    with pytest.raises(ValueError, match=cause):
        read_reid("ilids-vid", path.parents[1])


@pytest.mark.parametrize(
    ("identities", "cause"),
    [([1, 2], "split 1: 1 must be the name"), (["person_0001"] * 2, "split 1: 'person_0001' must .* come once")],
)
def test_identities_of_json_splits_are_names_that_come_once(copy, identities, cause):
    root = copy("prid2011")
    (root / "splits_prid2011.json").write_text(json.dumps([{"train": identities, "test": ["person_0003"]}]))
    with pytest.raises(ValueError, match=cause):
        read_reid("prid2011", root)


def test_a_missing_person_is_named(copy):
    root = copy("prid2011")
    shutil.rmtree(root / "prid_2011/multi_shot/cam_b/person_0002")
    with pytest.raises(ValueError, match=r"1 folders of split 1 are missing, e\.g\. cam_b/person_0002"):
        read_reid("prid2011", root)


def test_missing_splits_are_named(copy):
    root = copy("prid2011")
    (root / "splits_prid2011.json").write_text("[{}]")
    with pytest.raises(ValueError, match="no list of splits"):
        read_reid("prid2011", root)
    (root / "splits_prid2011.json").unlink()
    with pytest.raises(ValueError, match="data prepare prid2011 --splits"):
        read_reid("prid2011", root)


def test_a_person_on_both_sides_is_named(copy):
    root = copy("prid2011")
    identities = [f"person_{i:04d}" for i in (1, 2, 3, 4)]
    (root / "splits_prid2011.json").write_text(json.dumps([{"train": identities[:3], "test": identities[2:]}]))
    with pytest.raises(ValueError, match=r"person_0003.*no identity may be in both"):
        read_reid("prid2011", root)


def test_own_folder(synthetic):
    data = read_reid("tracklets", synthetic["tracklets"])
    assert {tracklet.camid for tracklet in data.test} == {"a", "b", "c"}
    assert np.array_equal(data.query, data.gallery)
    assert data.test[0].name == "test/walker1/a/1"


def test_own_folder_with_query_and_gallery(tmp_path):
    for part, identity, camera in (("query", "x", "1"), ("gallery", "x", "2"), ("gallery", "y", "1")):
        folder = tmp_path / part / identity / camera
        folder.mkdir(parents=True)
        for number in (2, 10, 1):
            Image.new("RGB", (4, 8)).save(folder / f"{number}.png")
    data = read_reid("tracklets", tmp_path)
    assert (data.query.tolist(), data.gallery.tolist()) == ([0], [1, 2])
    assert data.test[0].frames == ("1.png", "2.png", "10.png")


ROWS = [
    {"path": "b.png", "pid": "7", "camid": "left", "tracklet": "1", "frame": "2", "set": "test"},
    {"path": "a.png", "pid": "7", "camid": "left", "tracklet": "1", "frame": "10", "set": "test"},
    {"path": "c.png", "pid": "7", "camid": "right", "tracklet": "1", "frame": "1", "set": "test"},
    {"path": "d.png", "pid": "12", "camid": "right", "tracklet": "1", "frame": "1", "set": "train"},
]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_own_table(tmp_path, suffix):
    path = write_table(tmp_path / f"frames{suffix}", ROWS)
    data = read_reid("tracklets", path)
    assert [tracklet.frames for tracklet in data.test] == [("b.png", "a.png"), ("c.png",)]
    assert data.test[0].path(1) == tmp_path / "a.png"
    assert [tracklet.camid for tracklet in data.test] == ["left", "right"]
    assert {tracklet.pid for tracklet in data.test} == ({7} if suffix == ".csv" else {"7"})
    assert len(data.train) == 1


def test_own_table_of_few_columns(tmp_path):
    rows = [{"path": f"{name}.png", "pid": pid, "camid": "a"} for pid, name in ((0, "f10"), (0, "f9"), (3, "g1"))]
    data = read_reid("tracklets", write_table(tmp_path / "frames.csv", rows))
    assert [tracklet.frames for tracklet in data.test] == [("f9.png", "f10.png"), ("g1.png",)]
    assert [tracklet.pid for tracklet in data.test] == [0, 3]


def test_odd_numbers_are_names(tmp_path):
    rows = [{"path": f"{pid}.png", "pid": pid, "camid": "a"} for pid in ("--5", "²", "-0", "7")]
    data = read_reid("tracklets", write_table(tmp_path / "frames.csv", rows))
    assert [tracklet.pid for tracklet in data.test] == ["--5", "²", "-0", "7"]


def test_tables_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / "frames.csv"
    path.write_bytes("path,pid,camid\na.png,Jörg,1\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"frames\.csv, line 2 is not UTF-8 \(near .*J.*\): save the file"):
        read_reid("tracklets", path)
    (tmp_path / "frames.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match=r"frames\.parquet cannot be read as Parquet"):
        read_reid("tracklets", tmp_path / "frames.parquet")


def write_table(path, rows):
    if path.suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(str(value) for value in row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"pid": ""}, "row 2: path, pid, camid must all be given"),
        ({"frame": "last"}, "row 2: frame 'last' is no number"),
        ({"frame": ""}, "frame numbers in some rows only"),
        ({"set": "tets"}, "set 'tets' is none of"),
        ({"pid": "12"}, "12.*no identity may be in both"),
    ],
)
def test_wrong_tables_are_named(tmp_path, change, cause):
    rows = [ROWS[0], {**ROWS[1], **change}, *ROWS[2:]]
    with pytest.raises(ValueError, match=cause):
        read_reid("tracklets", write_table(tmp_path / "frames.csv", rows))


def test_other_mistakes_are_named(tmp_path, synthetic):
    with pytest.raises(ValueError, match="Did you mean 'mars'"):
        read_reid("marz", tmp_path)
    with pytest.raises(ValueError, match="MARS has one split"):
        read_reid("mars", synthetic["mars"], split=2)
    with pytest.raises(ValueError, match="does not exist; expected a folder or a table"):
        read_reid("tracklets", tmp_path / "none")
    with pytest.raises(ValueError, match="none of the folders"):
        read_reid("tracklets", tmp_path)
    with pytest.raises(ValueError, match="lacks the columns camid"):
        read_reid("tracklets", write_table(tmp_path / "t.csv", [{"path": "a", "pid": 1}]))
    with pytest.raises(ValueError, match="is not iLIDS-VID"):
        read_reid("ilids-vid", tmp_path)
    with pytest.raises(ValueError, match="has no frames"):
        Tracklet("empty", 1, 1, tmp_path, ())


def test_labels_are_numbered_in_order(tmp_path):
    tracklets = [Tracklet(str(i), pid, 1, tmp_path, ("a",)) for i, pid in enumerate([30, 7, 30, 100])]
    identities, labels = labels_of(tracklets)
    assert identities == [7, 30, 100]
    assert labels.tolist() == [1, 0, 1, 2]


@pytest.mark.data
def test_the_whole_of_mars(tmp_path):
    (tmp_path / "info").symlink_to(shared("data/mars-info"))
    data = read_reid("mars", tmp_path)
    assert data.is_complete
    assert data.title == "MARS"
    assert (len(data.train), len(data.test), len(data.query)) == (8298, 12180, 1980)
    assert len({tracklet.pid for tracklet in data.train}) == 625
    pids = [tracklet.pid for tracklet in data.test]
    assert (pids.count(0), pids.count(-1)) == (3248, 870)
    assert sum(map(len, data.train)) == 509_914
    assert sum(map(len, data.test)) == 681_089
    with np.load(shared("golden/reid/mars_features_64d.npz")) as golden:
        assert np.array_equal(golden["pid"], pids)
        assert np.array_equal(golden["camid"], [tracklet.camid for tracklet in data.test])
        assert np.array_equal(golden["query_index"], data.query)


@pytest.mark.data
def test_the_real_tracklets():
    data = read_reid("mars", shared("data/mars-mini"))
    assert (len(data.train), len(data.test), len(data.query)) == (213, 209, 209)
    assert all(len(tracklet) == 8 and tracklet.path(7).is_file() for tracklet in (*data.train, *data.test))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "file", "identities"),
    [("ilids-vid", "splits_ilidsvid_derived.json", 150), ("prid2011", "splits_prid2011.json", 89)],
)
def test_published_splits(tmp_path, name, file, identities):
    """The published splits, with one frame for each identity: the whole set by its numbers."""
    source = shared("data/reid-splits") / file
    shutil.copy(source, tmp_path / file)
    splits = json.loads(source.read_text())
    base, cameras = {
        "ilids-vid": ("i-LIDS-VID/sequences", ("cam1", "cam2")),
        "prid2011": ("prid_2011/multi_shot", ("cam_a", "cam_b")),
    }[name]
    for camera in cameras:
        for identity in splits[0]["train"] + splits[0]["test"]:
            folder = tmp_path / base / camera / identity
            folder.mkdir(parents=True)
            (folder / "0001.png").touch()
    data = read_reid(name, tmp_path, split=4)
    assert data.is_complete
    assert (len(data.query), len(data.gallery), len(data.train)) == (identities, identities, 2 * identities)
    assert sorted({tracklet.pid for tracklet in data.test}) == sorted(splits[3]["test"])
