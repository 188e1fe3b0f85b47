"""data prepare for re-ID: archives as they are distributed become the official layouts."""

import shutil
import tarfile
import zipfile

import pytest

from specvid.datasets.layouts.registry import read_reid
from specvid.datasets.synthetic.gait import Gait
from specvid.datasets.synthetic.reid import synthesize_ilids_vid, synthesize_mars, synthesize_prid2011
from specvid.tools.data.prepare import prepare

SMALL = Gait(identities=4, frames=4)


def zip_folder(folder, path, inside):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{inside}/{file.relative_to(folder)}")


@pytest.fixture
def mars(tmp_path):
    """Archives as MARS has them: two zips of pictures and a copy of the repository with the lists."""
    synthesize_mars(tmp_path / "synthetic", task=SMALL, tracklets=2)
    archives = tmp_path / "archives"
    archives.mkdir()
    for side in ("train", "test"):
        zip_folder(tmp_path / f"synthetic/bbox_{side}", archives / f"bbox_{side}.zip", f"bbox_{side}")
    zip_folder(tmp_path / "synthetic/info", archives / "MARS-evaluation-master.zip", "MARS-evaluation-master/info")
    return tmp_path


def test_mars(mars):
    lines = []
    report = prepare("mars", mars / "archives", mars / "out", echo=lines.append)
    assert report.ok
    expected, got = (read_reid("mars", mars / name) for name in ("synthetic", "out"))
    assert [tracklet.frames for tracklet in got.test] == [tracklet.frames for tracklet in expected.test]
    assert len(lines) == 3
    assert sorted(path.name for path in (mars / "out").iterdir()) == ["bbox_test", "bbox_train", "info"]
    # A second run finds everything in place, without the archives.
    shutil.rmtree(mars / "archives")
    assert prepare("mars", [], mars / "out", echo=lines.append).ok
    assert all("there already" in line for line in lines[3:])


def test_lists_that_were_unpacked_by_hand(mars):
    (mars / "archives/MARS-evaluation-master.zip").unlink()
    shutil.copytree(mars / "synthetic/info", mars / "archives/info")
    assert prepare("mars", mars / "archives", mars / "out", echo=lambda text: None).ok
    assert (mars / "archives/info").is_dir()


def test_missing_and_wrong_archives_are_named(mars):
    (mars / "archives/bbox_test.zip").unlink()
    with pytest.raises(ValueError, match=r"bbox_test\.zip is not in .*project_mars"):
        prepare("mars", mars / "archives", mars / "out", echo=lambda text: None)
    (mars / "archives/bbox_test.zip").write_bytes(b"half a file")
    with pytest.raises(ValueError, match="no zip, rar or tar file"):
        prepare("mars", mars / "archives", mars / "out", echo=lambda text: None)
    shutil.copy(mars / "archives/bbox_train.zip", mars / "archives/bbox_test.zip")
    with pytest.raises(ValueError, match="it is another archive"):
        prepare("mars", mars / "archives", mars / "out", echo=lambda text: None)
    assert sorted(path.name for path in (mars / "out").iterdir()) == ["bbox_train"]  # nothing half done
    with pytest.raises(ValueError, match="does not exist"):
        prepare("mars", mars / "nowhere", mars / "out")
    with pytest.raises(ValueError, match="unknown"):
        prepare("market", mars / "archives", mars / "out")


def test_ilids_vid(tmp_path):
    synthesize_ilids_vid(tmp_path / "synthetic", task=SMALL)
    with tarfile.open(tmp_path / "iLIDS-VID.tar", "w") as archive:
        for name in ("i-LIDS-VID", "train-test people splits"):
            archive.add(tmp_path / "synthetic" / name, name)
    assert prepare("ilids-vid", tmp_path / "iLIDS-VID.tar", tmp_path / "out", echo=lambda text: None).ok
    expected, got = (read_reid("ilids-vid", tmp_path / name, split=7) for name in ("synthetic", "out"))
    assert [tracklet.name for tracklet in got.test] == [tracklet.name for tracklet in expected.test]


def test_prid2011_takes_the_splits_from_a_file(tmp_path):
    synthesize_prid2011(tmp_path / "synthetic", task=SMALL)
    zip_folder(tmp_path / "synthetic/prid_2011/multi_shot", tmp_path / "prid_2011.zip", "prid_2011/multi_shot")
    with pytest.raises(ValueError, match="--splits FILE"):
        prepare("prid2011", tmp_path, tmp_path / "out", echo=lambda text: None)
    splits = tmp_path / "synthetic/splits_prid2011.json"
    assert prepare("prid2011", tmp_path, tmp_path / "out", splits=splits, echo=lambda text: None).ok
    assert len(read_reid("prid2011", tmp_path / "out", split=10).query) == 2
    with pytest.raises(ValueError, match="no list of splits"):
        prepare("prid2011", tmp_path, tmp_path / "out", splits=tmp_path / "prid_2011.zip", echo=lambda text: None)
