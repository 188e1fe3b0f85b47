"""The layouts of action data sets besides UCF-101: synthetic sets in each, and what is wrong in lists and folders."""

import csv
import json
import random
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from specvid.datasets.clips.spans import frames_of
from specvid.datasets.decode import open_video
from specvid.datasets.layouts import own
from specvid.datasets.layouts.action_set import ACTION_SETS, hold_out
from specvid.datasets.layouts.classes import class_warnings
from specvid.datasets.layouts.own import group_rule
from specvid.datasets.layouts.registry import read_action
from specvid.datasets.synthetic import SYNTHESIZERS, write_video
from specvid.errors import VideoError

LAYOUTS = {
    # layout: (classes, clips to train on, clips to test on) as published; None where own data have no number
    "hmdb51": (51, 3_570, 1_530),
    "something-v1": (174, 86_017, 11_522),
    "something-v2": (174, 168_913, 24_777),
    "jester": (27, 118_562, 14_787),
    "diving48": (48, 15_027, 1_970),
    "kinetics": (None, None, None),
    "folders": (None, None, None),
    "table": (None, None, None),
}


def root_of(dataset: str, folder: Path) -> Path:
    """Where a synthetic set of a layout is, as ``--data`` takes it."""
    return folder / "clips.csv" if dataset == "table" else folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """A synthetic set in each layout: 16 clips of two classes."""
    folder = tmp_path_factory.mktemp("sets")
    for name in LAYOUTS:
        SYNTHESIZERS[name](folder / name, scenes=4)
    return folder


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def table(path: Path, rows: list[list], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def test_every_layout_has_a_synthetic_set():
    assert set(LAYOUTS) | {"ucf101"} == set(ACTION_SETS) <= set(SYNTHESIZERS)


@pytest.mark.parametrize("dataset", LAYOUTS)
def test_synthetic_sets_are_read(sets, dataset):
    data = read_action(dataset, root_of(dataset, sets / dataset))
    assert len(data.classes) == 2 and len(data.records) == 16 and len(data.test) == 4
    assert sorted(record.label for record in data.records) == [0] * 8 + [1] * 8
    assert all(record.path.exists() for record in data.records)
    for record in data.records:
        with open_video(record.path) as video:
            assert frames_of(video, record)[1] == 16
    here, published = zip(*[data.counts[name] for name in data.counts], strict=True)
    classes, train, test = LAYOUTS[dataset]
    if classes:
        assert published == (classes, train, test) and here == (2, 12, 4)
        assert data.title.endswith(f"cut down to 2 of {classes} classes")
    assert not data.is_complete and data.source


def test_splits_of_hmdb51_differ(sets):
    tests = [{r.name for r in read_action("hmdb51", sets / "hmdb51", split=split).test} for split in (1, 2, 3)]
    assert all(len(names) == 4 for names in tests) and not set.intersection(*tests)
    with pytest.raises(ValueError, match=r"split = 4: HMDB-51 has splits 1 to 3"):
        read_action("hmdb51", sets / "hmdb51", split=4)


@pytest.mark.parametrize("dataset", ["something-v1", "something-v2", "jester", "diving48", "kinetics"])
def test_sets_of_one_split(sets, dataset):
    with pytest.raises(ValueError, match="has one split, 1"):
        read_action(dataset, sets / dataset, split=2)


@pytest.mark.parametrize("dataset", [name for name in LAYOUTS if name != "table"])
def test_another_folder_is_named(tmp_path, dataset):
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        read_action(dataset, tmp_path)


LISTS = {
    "hmdb51": ("testTrainMulti_7030_splits/OppositeWays_test_split1.txt", "clip.avi 3\n", "'clip.avi 3' is no clip"),
    "something-v1": ("something-something-v1-train.csv", "1;Nothing\n", "names a class that is not in"),
    "jester": ("jester-v1-validation.csv", "one\n", "'one' is no clip"),
    "something-v2": ("labels/train.json", '[{"id": "1", "template": "Nothing"}]', "has the class 'Nothing'"),
    "diving48": ("Diving48_V2_train.json", '[{"vid_name": "a_1", "label": 7}]', "has the label 7; expected 0 to 1"),
    "kinetics": ("annotations/train.csv", "label,youtube_id,time_start,time_end\na,b,c,d\n", "must be seconds"),
}


@pytest.mark.parametrize("dataset", LISTS)
def test_wrong_lists_are_named(tmp_path, dataset):
    SYNTHESIZERS[dataset](tmp_path / "set", scenes=4)
    name, content, message = LISTS[dataset]
    path = tmp_path / "set" / name
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(path.name)) as caught:
        read_action(dataset, tmp_path / "set")
    assert message in str(caught.value)
    path.write_bytes(b"\xff\xfe\x00broken")
    with pytest.raises(ValueError, match=re.escape(path.name)):
        read_action(dataset, tmp_path / "set")
    path.unlink()
    with pytest.raises(ValueError, match=r"cannot be read|none of its folders|no list with|lacks the"):
        read_action(dataset, tmp_path / "set")


@pytest.mark.parametrize("dataset", ["something-v2", "diving48"])
def test_a_clip_listed_twice(tmp_path, dataset):
    SYNTHESIZERS[dataset](tmp_path / "set", scenes=4)
    path = tmp_path / "set" / LISTS[dataset][0]
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([*entries, entries[0]]))
    with pytest.raises(ValueError, match="is listed twice"):
        read_action(dataset, tmp_path / "set")


def test_kinetics_without_vanished_clips(tmp_path):
    SYNTHESIZERS["kinetics"](tmp_path / "set", scenes=4)
    next((tmp_path / "set" / "train").rglob("*.mp4")).unlink()
    data = read_action("kinetics", tmp_path / "set")
    assert len(data.train) == 11
    assert data.title == "Kinetics, 2 classes without 1 training and 0 validation clips that are not there"


def test_kinetics_behind_a_link(tmp_path):
    SYNTHESIZERS["kinetics"](tmp_path / "set", scenes=4)
    (tmp_path / "set" / "train").rename(tmp_path / "disk")
    (tmp_path / "set" / "train").symlink_to(tmp_path / "disk")
    assert len(read_action("kinetics", tmp_path / "set").train) == 12


def test_kinetics_as_lists_of_files(tmp_path):
    for name in ("archery/a b.mp4", "archery/c.mp4", "bowling/d.mp4", "bowling/e.mp4"):
        touch(tmp_path / name)
    (tmp_path / "train.txt").write_text("\ufeffarchery\\a b.mp4 0\r\nbowling/d.mp4 1\r\n", encoding="utf-8")
    (tmp_path / "val.txt").write_text("archery/c.mp4 0\nbowling/e.mp4 1\n")
    data = read_action("kinetics", tmp_path)
    assert data.classes == ["archery", "bowling"]
    assert [(record.name, record.label) for record in data.train] == [("archery/a b.mp4", 0), ("bowling/d.mp4", 1)]
    assert all(record.path.is_file() for record in data.records)


def test_own_clips_in_folders(tmp_path):
    for name in (
        "打开 门/1.mp4",
        "打开 门/10.mp4",
        "打开 门/2.MOV",
        "a class/x.webm",
        "a class/notes.txt",
        ".hidden/x.mp4",
    ):
        touch(tmp_path / name)
    frames = tmp_path / "a class" / "frames"
    frames.mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(frames / "00001.jpg")
    data = read_action("folders", tmp_path)
    assert data.classes == ["a class", "打开 门"]
    assert [r.name for r in data.train] == [
        "a class/frames",
        "a class/x.webm",
        "打开 门/1.mp4",
        "打开 门/2.MOV",
        "打开 门/10.mp4",
    ]
    assert data.title == tmp_path.name and not data.test


def test_a_test_part_is_split_off_by_groups(tmp_path):
    for name in ("a", "b"):
        for source in range(4):
            for piece in range(3):
                touch(tmp_path / name / f"film{source}_clip{piece}.mp4")
    options = {"groups": "([^/]*)_clip", "test_fraction": 0.25}
    first = read_action("folders", tmp_path, **options)
    assert len(first.test) == 6 and len(first.train) == 18  # film1 of both classes, or another one
    assert not {r.group for r in first.train} & {r.group for r in first.test}
    draws = {tuple(r.name for r in read_action("folders", tmp_path, split=s, **options).test) for s in range(1, 11)}
    assert len(draws) > 1
    assert not first.warnings
    warned = read_action("folders", tmp_path, test_fraction=0.25)
    assert "e.g. a/film0_clip0.mp4 and a/film0_clip1.mp4 (8 such sources)" in warned.warnings[0]
    assert "look like parts of one source" in warned.warnings[0] and "--groups '(.*)_clip[0-9]'," in warned.warnings[0]
    assert not read_action("folders", tmp_path, groups="(.*)_clip[0-9]", test_fraction=0.25).warnings
    table(tmp_path / "groups.csv", [["path", "group"], *[[r.name, r.name[:7]] for r in first.records]])
    assert read_action("folders", tmp_path, groups=str(tmp_path / "groups.csv"), test_fraction=0.25).test


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        ("a/f1_part1 a/f1_part2 a/f2_part1 b/g_part1", "'(.*)_part[0-9]'"),
        ("a/f1_part1 a/f1_part2 a/f2_part1 b/movie", "'(.*?)(_part[0-9]+)?([.][^./]*)?$'"),  # one without the mark
        ("a/f1_part1 a/f1_part2 a/f2_part1 b/movie_1 b/movie_2", ""),  # two ways of numbering
        ("train/a/f_part1 test/a/f_part2 train/a/x_part1", "'([^/]*)_part[0-9]'"),  # the parts stand in the names
        ("a/f1_part1 a/f1_part2 a/f2_part1 b/c1 b/c2", "'(.*?)(_part[0-9]+)?([.][^./]*)?$'"),  # numbers alone
    ],
)
def test_the_rule_for_groups_that_a_warning_names_fits_all_clips(tmp_path, names, rule):
    first, second, *_ = names = [f"{name}.mp4" for name in names.split()]
    for name in names:
        touch(tmp_path / name)
    (warning,) = read_action("folders", tmp_path).warnings
    if not rule:
        assert "--groups and a table of path and group (no simple expression fits all clips)," in warning
        return
    assert f"--groups {rule}," in warning
    find = group_rule(rule[1:-1])
    assert len(set(find([first, second]))) == 1
    assert len(set(find(names))) == len(names) - 1


def test_the_source_of_a_name_is_as_an_expression_said():
    """Which took a time that grew with the cube of the length."""
    counter = re.compile(
        r"^(?P<source>.+?)[ _.()-]*(?:c|cl|clip|p|part|s|seg|scene|piece)?[ _.()-]*\d+\)?$", re.IGNORECASE
    )
    rng = random.Random(0)
    parts = ["a", "C", "cl", "clip", "part", "S", "seg", "scene", "_", ".", "(", ")", "-", " ", "1", "23", "x"]
    for _ in range(20_000):
        stem = "".join(rng.choices(parts, k=rng.randint(1, 6)))
        found = counter.fullmatch(stem)
        assert own._source(stem) == (found["source"] if found else stem), stem


@pytest.mark.parametrize(
    "stem", ["a" + "_" * 100_000 + "x", "1" * 100_000 + "x", "clip" * 50_000 + "_", "a" + "_" * 10**5]
)
def test_a_long_name_takes_no_time(stem):
    begun = time.perf_counter()
    assert own._source(stem) == stem
    assert own._source(stem + "_1")
    assert own.group_rule("(.+)_[0-9]")([stem + "_1"]) == [stem]
    assert time.perf_counter() - begun < 5


def test_the_expression_for_groups_of_another_one_does_not_hang():
    begun = time.perf_counter()
    with pytest.raises(ValueError, match=r"finds nothing in 'aaaaaaaaaaaa"):
        group_rule("((.+)+)+!")(["a" * 1000])
    assert time.perf_counter() - begun < 5


def test_expressions_for_groups():
    assert group_rule(r"^v_(\w+)_g\d+")(["v_A_g01_c1.avi", "v_B_b_g02.avi"]) == ["A", "B_b"]
    assert group_rule("b(.)")(["a/b\nb1", "xb2b3"]) == ["1", "2"]
    assert group_rule("(.*)_")(["\udcff_1"]) == ["\\udcff"]
    for wrong, why in (("(", "missing"), ("(?=a)(b)", "look-ahead"), ("a", "no part in parentheses")):
        with pytest.raises(ValueError, match=why):
            group_rule(wrong)


@pytest.mark.parametrize("other", ["../set/clips/1.mp4", "link/1.mp4", "hard.mp4"])
def test_one_file_by_two_names_does_not_stand_on_two_sides(tmp_path, other):
    root = tmp_path / "set"
    (root / "link").parent.mkdir()
    touch(root / "clips/1.mp4")
    (root / "link").symlink_to("clips")
    (root / "hard.mp4").hardlink_to(root / "clips/1.mp4")
    path = table(root / "t.csv", [["path", "label", "set"], ["clips/1.mp4", "a", "train"], [other, "a", "test"]])
    with pytest.raises(ValueError, match=r"e\.g\. clips/1\.mp4; clips of one source stay on one side"):
        read_action("table", path)
    for part in ("train", "test"):
        (root / part / "a").mkdir(parents=True)
        (root / part / "a" / f"{part}.mp4").symlink_to(root / "clips/1.mp4")
    with pytest.raises(ValueError, match="clips of one source stay on one side"):
        read_action("folders", root)


def test_a_folder_without_clips_is_named(tmp_path):
    touch(tmp_path / "a" / "1.mp4")
    touch(tmp_path / "b" / "notes.txt")
    data = read_action("folders", tmp_path)
    assert data.classes == ["a"] and data.warnings == ("no classes, since no clip lies in them: b",)


@pytest.mark.parametrize("dataset", ["ucf101", "hmdb51", "kinetics", "something-v2", "diving48", "jester"])
def test_own_clips_that_are_read_as_a_published_set_are_told_their_layout(tmp_path, dataset):
    touch(tmp_path / "a" / "1.mp4")
    for root in (tmp_path, tmp_path / "t.csv"):
        with pytest.raises(ValueError, match="Clips of your own are the data set `folders`"):
            read_action(dataset, root)


def test_classes_that_cannot_be_learned_are_named(tmp_path):
    for name in ("train/a/1", "train/b/1", "test/a/2", "test/c/1", "val/打开/1"):
        touch(tmp_path / f"{name}.mp4")
    (warning,) = class_warnings(read_action("folders", tmp_path))
    assert warning.endswith("without a clip to train on, which cannot be learned: c, 打开") and "2 classes" in warning
    (tmp_path / "train/b/1.mp4").unlink()
    assert class_warnings(read_action("folders", tmp_path))[0].startswith("all clips to train on are of one class, a:")


def test_another_folder_than_kinetics_is_told_what_is_missing(tmp_path):
    with pytest.raises(ValueError, match="holds a list with train in its name") as caught:
        read_action("kinetics", tmp_path)
    assert "prepare" not in str(caught.value) and "[" not in str(caught.value).partition(str(tmp_path))[2]


@pytest.mark.parametrize(
    ("groups", "message"),
    [("(", "neither a table"), ("clip", "no part in parentheses"), ("(z)", "finds nothing in"), ("g.csv", "no group")],
)
def test_wrong_groups(tmp_path, monkeypatch, groups, message):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path / "set" / "a" / "x1.mp4")
    table(tmp_path / "g.csv", [["path", "group"], ["other.mp4", "1"]])
    with pytest.raises(ValueError, match=message):
        read_action("folders", tmp_path / "set", groups=groups)


def test_a_group_on_both_sides_is_refused(tmp_path):
    for part in ("train", "test"):
        touch(tmp_path / part / "a" / f"film1_{part}.mp4")
    with pytest.raises(ValueError, match="in more than one of the lists"):
        read_action("folders", tmp_path, groups="(film1)")


def test_options_of_own_data_are_refused_elsewhere(sets):
    with pytest.raises(ValueError, match=r"groups '\(x\)' is no option of the data set 'hmdb51'"):
        read_action("hmdb51", sets / "hmdb51", groups="(x)")
    with pytest.raises(ValueError, match="has a test part: leave it out"):
        read_action("folders", sets / "folders", test_fraction=0.2)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_with_time_spans(tmp_path, delimiter):
    write_video(tmp_path / "long.mp4", np.zeros((50, 16, 16, 3), np.uint8), 25)
    rows = [["path", "label", "set", "start_s", "end_s", "weight"], ["long.mp4", "a", "train", 0.4, 1.2, 2]]
    rows += [["long.mp4", "b", "test", 1.2, "", ""], ["long.mp4", "a", "train", "", 0.4, ""]]
    path = table(tmp_path / "clips.csv", rows, delimiter)
    with pytest.raises(ValueError, match="clips of one source stay on one side"):  # one video in train and in test
        read_action("table", path)
    rows[2][2] = "train"
    data = read_action("table", table(path, rows, delimiter))
    assert [record.weight for record in data.train] == [2.0, 1.0, 1.0] and {r.group for r in data.train} == {"long.mp4"}
    with open_video(tmp_path / "long.mp4") as video:
        assert [frames_of(video, record) for record in data.train] == [(10, 20), (30, 20), (0, 10)]


def test_a_span_behind_the_end(tmp_path):
    write_video(tmp_path / "short.mp4", np.zeros((10, 16, 16, 3), np.uint8), 25)
    path = table(tmp_path / "clips.csv", [["path", "label", "start_s"], ["short.mp4", "a", 3]])
    record = read_action("table", path).train[0]
    with (
        open_video(record.path) as video,
        pytest.raises(VideoError, match="has no frame from 3 to inf s; its last one"),
    ):
        frames_of(video, record)


def test_several_classes_in_a_cell(tmp_path):
    rows = [["path", "label"], ["a.mp4", "run|jump"], ["b.mp4", "jump"], ["c.mp4", ""]]
    data = read_action("table", table(tmp_path / "clips.csv", rows))
    assert data.is_multilabel and data.classes == ["jump", "run"]
    assert [record.labels for record in data.train] == [(1, 0), (0,), ()]


def test_a_folder_with_tables_names_them(tmp_path):
    table(tmp_path / "clips.csv", [["path", "label"], ["a.mp4", "b"]])
    with pytest.raises(ValueError, match=r"is not a table.*Give one of the tables in it: clips\.csv\."):
        read_action("table", tmp_path)


def test_a_parquet_table(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {"path": ["a.mp4", "b.mp4"], "label": [["x", "y"], []], "set": ["train", "test"]}
    pq.write_table(pa.table(rows), tmp_path / "clips.parquet")
    data = read_action("table", tmp_path / "clips.parquet")
    assert data.is_multilabel and [r.labels for r in data.records] == [(0, 1), ()]


def test_headers_with_capitals_and_paths_as_bytes(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [["Path", "LABEL", "Set", "Label 2"], ["a.mp4", "x", "train", "-"], ["b.mp4", "y", "test", "-"]]
    one = read_action("table", table(tmp_path / "clips.csv", rows))
    columns = {"Path": [b"a.mp4", b"b.mp4"], "label": [b"x", b"y"], "Set": ["train", "test"]}
    pq.write_table(pa.table(columns), tmp_path / "clips.parquet")
    two = read_action("table", tmp_path / "clips.parquet")
    for data in (one, two):
        assert [record.name for record in data.records] == ["a.mp4", "b.mp4"]
        assert data.classes == ["x", "y"] and len(data.test) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["path", "class"], ["a", "b"]], "lacks the columns label"),
        ([["path", "label"], ["", "b"]], "row 1: path is empty"),
        ([["path", "label"], ["a", ""], ["b", "x"]], "row 1: label is empty"),
        ([["path", "label", "set"], ["a", "b", "dev"]], "set 'dev' is none of"),
        ([["path", "label", "start_s"], ["a", "b", "soon"]], "start_s 'soon' is no number"),
        ([["path", "label", "start_s", "end_s"], ["a", "b", 2, 1]], "end_s 1 must be greater than start_s 2"),
        ([["path", "label"], ["a", "b"], ["a", "c"]], "a is listed twice"),
        ([["path", "label", "label"], ["a", "b", "c"]], "has two columns label"),
        ([["path", "label"], ["a", "b", "c"]], "more cells than there are columns"),
        ([["path", "label", "weight"], ["a", "b", -1]], "weight '-1' must be a number of at least 0"),
    ],
)
def test_wrong_tables(tmp_path, rows, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_action("table", table(tmp_path / "clips.csv", rows))


def test_groups_are_held_out_of_clips_with_several_classes(tmp_path):
    rows = [["path", "label", "group"]] + [[f"{n}.mp4", "x|y" if n % 2 else "y", f"g{n // 2}"] for n in range(20)]
    data = read_action("table", table(tmp_path / "clips.csv", rows))
    stays, held = hold_out(data.train, 0.2, seed=1)
    assert len(held) == 4 and not {r.group for r in stays} & {r.group for r in held}
