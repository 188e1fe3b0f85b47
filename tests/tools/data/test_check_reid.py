"""data check for re-ID: complete sets pass, cut-down ones are reported, and what is wrong is named."""

import gzip
import json
import shutil

import pytest
from PIL import Image
from shared_data import shared

from specvid.datasets.synthetic.gait import Gait
from specvid.datasets.synthetic.reid import (
    synthesize_ilids_vid,
    synthesize_mars,
    synthesize_prid2011,
    synthesize_tracklets,
)
from specvid.tools.data.check import check

SMALL = Gait(identities=4, frames=4)
SYNTHESIZE = {
    "mars": synthesize_mars,
    "ilids-vid": synthesize_ilids_vid,
    "prid2011": synthesize_prid2011,
    "tracklets": synthesize_tracklets,
}


@pytest.mark.parametrize("name", sorted(SYNTHESIZE))
def test_synthetic_sets_are_sound(tmp_path, name):
    SYNTHESIZE[name](tmp_path / name, task=SMALL)
    report = check(name, tmp_path / name, workers=1)
    assert report.exit_code == 0
    assert report.lines[-1] == "nothing is wrong"
    frames = sum(1 for path in (tmp_path / name).rglob("*") if path.suffix in (".jpg", ".png"))
    assert report.lines[-2] == f"{frames:,} of {frames:,} frames can be read"
    if name != "tracklets":
        assert "cut down" in report.title


def test_missing_and_damaged_frames_are_named(tmp_path):
    synthesize_mars(tmp_path / "mars", task=SMALL)
    frames = sorted((tmp_path / "mars/bbox_train/0001").iterdir())
    frames[0].unlink()
    frames[1].write_bytes(frames[1].read_bytes()[:-100])
    shutil.rmtree(tmp_path / "mars/bbox_test/00-1")
    report = check("mars", tmp_path / "mars", workers=1)
    assert report.exit_code == 1
    assert report.problems[str(frames[0])] == f"missing: {frames[0]} is not there"
    assert str(frames[1]) in report.problems[str(frames[1])]
    assert len(report.problems) == 2 + 6 * 4
    assert "1 problem, 25 frames missing:" in report.lines
    assert report.lines[-1] == "  ... and 5 more"
    assert str(frames[1]) not in check("mars", tmp_path / "mars", fast=True).problems


def test_a_wrong_split_is_named(tmp_path):
    synthesize_prid2011(tmp_path / "prid", task=SMALL)
    path = tmp_path / "prid/splits_prid2011.json"
    splits = json.loads(path.read_text())
    splits[6]["test"][0] = "person_0099"
    path.write_text(json.dumps(splits))
    report = check("prid2011", tmp_path / "prid", fast=True)
    assert list(report.problems) == ["split 7"]
    assert "person_0099" in report.problems["split 7"]


def test_a_set_that_cannot_be_scored_is_named(tmp_path):
    for identity in "xy":
        folder = tmp_path / "test" / identity / "one"
        folder.mkdir(parents=True)
        Image.new("RGB", (4, 8)).save(folder / "1.png")
    report = check("tracklets", tmp_path, fast=True)
    assert report.exit_code == 1
    assert "all tracklets have the camera one" in report.problems["score 1"]


def test_no_such_set_at_all(tmp_path):
    with pytest.raises(ValueError, match="is not MARS"):
        check("mars", tmp_path)
    with pytest.raises(ValueError, match="unknown"):
        check("market", tmp_path)


@pytest.mark.data
def test_the_whole_of_mars_by_its_lists(tmp_path):
    (tmp_path / "info").symlink_to(shared("data/mars-info"))
    report = check("mars", tmp_path, fast=True)
    text = "\n".join(report.lines)
    assert report.title == "MARS"
    for published in ("8,298", "12,180", "3,248", "870", "1,980", "509,914", "681,089", "625"):
        assert f": {published} (published: {published})" in text
    assert len(report.problems) == 509_914 + 681_089  # the images are not there, nothing else is wrong
    assert "0 problems, 1,191,003 frames missing:" in text


@pytest.mark.data
def test_ilids_by_its_published_lists(tmp_path):
    folder = shared("data/reid-splits")
    shutil.copy(folder / "splits_ilidsvid_derived.json", tmp_path)
    for name in json.loads(gzip.decompress((folder / "ilidsvid_frames.json.gz").read_bytes())):
        path = tmp_path / "i-LIDS-VID/sequences" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    report = check("ilids-vid", tmp_path, fast=True)
    assert report.ok
    assert report.title == "iLIDS-VID"
    assert "  frames: 42,459 (published: 42,459)" in report.lines
    lost = tmp_path / "i-LIDS-VID/sequences/cam1/person001"
    next(lost.iterdir()).unlink()
    assert "frames: 42,458 here, 42,459 published" in check("ilids-vid", tmp_path, fast=True).problems["frames"]


@pytest.mark.data
def test_the_real_tracklets():
    report = check("mars", shared("data/mars-mini"), workers=1)
    assert report.ok
    assert "MARS cut down to 209 of 12,180 test tracklets" in report.title


def test_odd_images_are_fine(tmp_path):
    synthesize_tracklets(tmp_path / "own", task=SMALL)
    frame = next((tmp_path / "own/test").rglob("*.png"))
    Image.new("L", (7, 9)).save(frame)
    assert check("tracklets", tmp_path / "own", workers=1).ok
