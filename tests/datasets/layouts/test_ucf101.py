"""UCF-101's lists and layout: the official ones, cut-down ones, and wrong ones."""

from pathlib import Path

import pytest
from shared_data import shared

from specvid.datasets.layouts import ucf101
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.datasets.layouts.ucf101 import read_ucf101

NAMES = [
    "Archery/v_Archery_g01_c01.avi",
    "Archery/v_Archery_g02_c01.avi",
    "HandstandPushups/v_HandStandPushups_g01_c01.avi",
]


def small_set(root: Path, videos="videos", lists="ucfTrainTestlist", classes="1 Archery\n2 HandstandPushups\n"):
    """Two classes, three clips (empty files); group 1 to test on."""
    for name in NAMES:
        (root / videos / name).parent.mkdir(parents=True, exist_ok=True)
        (root / videos / name).touch()
    (root / lists).mkdir(exist_ok=True)
    (root / lists / "classInd.txt").write_text(classes)
    for split in (1, 2, 3):
        (root / lists / f"trainlist0{split}.txt").write_text(f"{NAMES[1]} 1\r\n")
        (root / lists / f"testlist0{split}.txt").write_text(f"{NAMES[0]}\n{NAMES[2]}\n\n")
    return root


@pytest.mark.parametrize("videos", ["videos", "UCF-101", "."])
@pytest.mark.parametrize("lists", ["ucfTrainTestlist", "."])
def test_layouts(tmp_path, videos, lists):
    small_set(tmp_path, videos, lists)
    data = read_ucf101(tmp_path, split=2)
    assert data.classes == ["Archery", "HandstandPushups"]
    assert data.train == [VideoRecord(tmp_path / videos / NAMES[1], NAMES[1], 0, "Archery_g02")]
    assert [(record.name, record.label) for record in data.test] == [(NAMES[0], 0), (NAMES[2], 1)]
    assert all(record.path.is_file() for record in data.records)
    assert not data.is_complete
    assert data.title == "UCF-101 cut down to 2 of 101 classes"


def test_a_missing_clip_stays(tmp_path):
    small_set(tmp_path)
    (tmp_path / "videos" / NAMES[0]).unlink()
    assert [record.name for record in read_ucf101(tmp_path).test] == [NAMES[0], NAMES[2]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lists: (lists / "classInd.txt").write_text("1 Archery\n3 HandstandPushups\n"), "without a gap"),
        (lambda lists: (lists / "classInd.txt").write_text("Archery\n"), "line 'Archery' is not a class"),
        (lambda lists: (lists / "classInd.txt").write_text("1 Archery\n"), "class 'HandstandPushups', which is not in"),
        (lambda lists: (lists / "trainlist01.txt").unlink(), "trainlist01.txt cannot be read"),
        (lambda lists: (lists / "trainlist01.txt").write_text("\n"), "names no clips"),
        (lambda lists: (lists / "trainlist01.txt").write_text("Archery/clip.avi 1\n"), "names no clip"),
        (lambda lists: (lists / "trainlist01.txt").write_text(f"{NAMES[1]} 2\n"), "the number 2; classInd.txt says 1"),
        (lambda lists: (lists / "trainlist01.txt").write_text(f"{NAMES[1]} 1\n" * 2), "is listed twice"),
        (
            lambda lists: (lists / "trainlist01.txt").write_text("Archery/v_Archery_g01_c07.avi 1\n"),
            "1 groups are in more than one of the lists.*e.g. Archery_g01",
        ),
        (lambda lists: (lists / "classInd.txt").unlink(), "holds classInd.txt.*specvid data prepare ucf101"),
    ],
)
def test_wrong_lists(tmp_path, change, message):
    small_set(tmp_path)
    change(tmp_path / "ucfTrainTestlist")
    with pytest.raises(ValueError, match=message):
        read_ucf101(tmp_path)


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match="split = 4: UCF-101 has splits 1 to 3"):
        read_ucf101(tmp_path, split=4)
    with pytest.raises(ValueError, match="nowhere does not exist; expected the root of UCF-101"):
        read_ucf101(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="is no UCF-101 clip"):
        ucf101.group_of("Archery/clip.avi")


@pytest.mark.data
@pytest.mark.parametrize("split", [1, 2, 3])
def test_official_lists(tmp_path, split):
    (tmp_path / "ucfTrainTestlist").symlink_to(shared("data/ucf101-lists").resolve())
    data = read_ucf101(tmp_path, split=split)
    assert data.is_complete
    assert data.title == "UCF-101"
    assert (len(data.train), len(data.test)) == ucf101.SPLITS[split]
    assert len({record.name for record in data.records}) == ucf101.CLIPS
    assert len(data.classes) == 101
    assert data.classes[0] == "ApplyEyeMakeup"
    for record in data.train[::500]:
        assert data.classes[record.label] == record.name.split("/")[0]


@pytest.mark.data
@pytest.mark.parametrize("name", ["ucf101-5", "ucf101-raw"])
def test_real_clips(name):
    for split in (1, 2, 3):
        data = read_ucf101(shared(f"data/{name}"), split=split)
        assert len(data.records) == {"ucf101-5": 605, "ucf101-raw": 30}[name]
        assert all(record.path.is_file() for record in data.records)
        assert data.title == "UCF-101 cut down to 5 of 101 classes"
