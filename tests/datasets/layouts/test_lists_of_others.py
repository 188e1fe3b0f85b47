"""Lists that somebody else wrote, of every layout: each is read or refused by a `ValueError` that names the file."""

import gzip
import json
import os
import shutil
from pathlib import Path

import pytest

from specvid.datasets.layouts.registry import read_action, read_reid
from specvid.datasets.layouts.reid_set import REID_SETS, natural_key
from specvid.datasets.layouts.text import split_label
from specvid.datasets.synthetic import SYNTHESIZERS

CONTENTS = {
    "deep list": b"[" * 200_000,
    "deep object": b'{"a":' * 100_000,
    "deep, but closed": b"[" * 400 + b"]" * 400,
    "digits": b'{"a": ' + b"9" * 6000 + b"}",
    "infinity": b'{"a": Infinity}',
    "no UTF-8": b"a.avi 1\n\x81\x82\xff 1\n",
    "odd UTF-16": b"\xff\xfe\x00",
    "NUL": b"a\0b,c\0d\n" * 5,
    "long cell": b"label,youtube_id,time_start,time_end\n" + b"x" * 300_000 + b",a,1,2\n",
    "no time": b"label,youtube_id,time_start,time_end\na,b,1e400,2\n",
    "large label": b"a.avi 99999999999\n",
    "long label": b"a.avi " + b"9" * 6000 + b"\n",
    "long number": b"9" * 6000 + b" Archery\n",
    "open quote": b'"' + b"a\n" * 1000,
    "nulls": b'[{"vid_name": null, "label": {}, "id": [], "template": 5}]',
    "unhashable": b'[{"train": [["a"], {}], "test": ["b"]}]',
    "empty": b"",
}
LISTS = {
    "hmdb51": "testTrainMulti_7030_splits/OppositeWays_test_split1.txt",
    "ucf101": "ucfTrainTestlist/trainlist01.txt",
    "something-v1": "something-something-v1-train.csv",
    "jester": "jester-v1-validation.csv",
    "something-v2": "labels/train.json",
    "diving48": "Diving48_V2_train.json",
    "kinetics": "annotations/train.csv",
    "table": "clips.csv",
    "mars": "info/test_name.txt",
    "prid2011": "splits_prid2011.json",
}
FURTHER = {
    "ucf101": "ucfTrainTestlist/classInd.txt",
    "something-v2": "labels/labels.json",
    "diving48": "Diving48_vocab.json",
    "jester": "jester-v1-labels.csv",
}

NOT_READ = "is no plain file|cannot be read|is not a table"


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    for name in LISTS:
        options = {} if name in (*REID_SETS, "ucf101") else {"scenes": 4}
        SYNTHESIZERS[name](folder / name, **options)
    return folder


def read(name: str, folder: Path) -> object:
    if name in REID_SETS:
        return read_reid(name, folder)
    return read_action(name, folder / "clips.csv" if name == "table" else folder)


@pytest.mark.parametrize(("name", "file"), [*LISTS.items(), *FURTHER.items()])
def test_hostile_lists(sets: Path, tmp_path: Path, name: str, file: str) -> None:
    folder = tmp_path / name
    shutil.copytree(sets / name, folder, symlinks=True)
    path = folder / file
    refused = {}
    for what, content in CONTENTS.items():
        path.write_bytes(content)
        try:
            read(name, folder)
        except ValueError as error:
            refused[what] = str(error)
    assert len(refused) > len(CONTENTS) / 2
    assert [what for what, message in refused.items() if str(folder) not in message] == []
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(ValueError, match=NOT_READ):
        read(name, folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match=NOT_READ):
        read(name, folder)


def test_kinetics_by_labels_that_are_no_classes(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "val.txt").write_text("a.mp4 1\n")
    for label in ("999999", "9" * 12, "9" * 5000):
        for between in (" ", ","):
            (tmp_path / "train.txt").write_text(f"a.mp4{between}{label}\n")
            with pytest.raises(ValueError, match=r"train\.txt: line .* is no clip|train\.txt: line .* no number"):
                read_action("kinetics", tmp_path)


def test_numbers_of_thousands_of_digits() -> None:
    assert split_label("a.avi 123456789012345678") == ("a.avi", "123456789012345678")
    assert split_label("a.avi 1234567890123456789") == ("a.avi 1234567890123456789", "")
    assert sorted(["9" * 5000, "10", "9"], key=natural_key) == ["9", "10", "9" * 5000]


def test_packed_names_of_mars(sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mars"
    shutil.copytree(sets / "mars", folder, symlinks=True)
    plain, packed = folder / "info/test_name.txt", folder / "info/test_name.txt.gz"
    names = plain.read_bytes()
    plain.unlink()
    packed.write_bytes(gzip.compress(names))
    assert read("mars", folder)
    for content in (b"no gzip", gzip.compress(names)[:40], gzip.compress(b"\xff\xfe\xff"), gzip.compress(names)[:-9]):
        packed.write_bytes(content)
        with pytest.raises(ValueError, match=r"test_name\.txt\.gz holds no names"):
            read("mars", folder)
    monkeypatch.setattr("specvid.datasets.layouts.mars._MOST_NAMES", 1000)
    packed.write_bytes(gzip.compress(b"a\n" * 1000))
    with pytest.raises(ValueError, match="it unpacks to"):
        read("mars", folder)


def test_splits_name_a_person_twice(tmp_path: Path, sets: Path) -> None:
    folder = tmp_path / "prid2011"
    shutil.copytree(sets / "prid2011", folder, symlinks=True)
    path = folder / LISTS["prid2011"]
    splits = json.loads(path.read_text())
    splits[0]["train"].append(splits[0]["train"][0])
    path.write_text(json.dumps(splits))
    with pytest.raises(ValueError, match="come once"):
        read("prid2011", folder)
