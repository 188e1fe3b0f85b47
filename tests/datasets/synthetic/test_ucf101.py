"""The synthetic UCF-101: exact layout, seeds, idempotence, and what decoding gives back."""

import hashlib
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from decoders import DECODERS

from specvid.datasets.decode import open_video
from specvid.datasets.layouts.ucf101 import read_ucf101
from specvid.datasets.synthetic import synthesize_ucf101
from specvid.datasets.synthetic.folder import SETTINGS
from specvid.datasets.synthetic.two_spots import TwoSpots, render
from specvid.datasets.synthetic.ucf101 import plan_ucf101


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize_ucf101(tmp_path_factory.mktemp("synthetic") / "ucf101", seed=1, scenes=2).root


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_layout_is_that_of_ucf101(synthetic: Path) -> None:
    assert sorted(path.name for path in synthetic.iterdir()) == [SETTINGS, "ucfTrainTestlist", "videos"]
    lists = sorted(path.name for path in (synthetic / "ucfTrainTestlist").iterdir())
    assert lists == ["classInd.txt"] + [f"{side}list0{split}.txt" for side in ("test", "train") for split in (1, 2, 3)]
    assert (synthetic / "ucfTrainTestlist/classInd.txt").read_text() == "1 OppositeWays\n2 SameWay\n"
    videos = sorted(str(path.relative_to(synthetic / "videos")) for path in synthetic.glob("videos/*/*"))
    assert len(videos) == 25 * 4 * 2
    groups = Counter()
    for name in videos:
        match = re.fullmatch(r"(OppositeWays|SameWay)/v_\1_g(\d\d)_c(\d\d)\.avi", name)
        assert match, name
        assert 1 <= int(match[3]) <= 4
        groups[match[1], int(match[2])] += 1
    assert groups == {(name, group): 4 for name in ("OppositeWays", "SameWay") for group in range(1, 26)}


@pytest.mark.parametrize("split", [1, 2, 3])
def test_lists_have_the_official_form_and_groups(synthetic: Path, split: int) -> None:
    train = (synthetic / f"ucfTrainTestlist/trainlist0{split}.txt").read_text().splitlines()
    test = (synthetic / f"ucfTrainTestlist/testlist0{split}.txt").read_text().splitlines()
    assert all(re.fullmatch(r"OppositeWays/\S+ 1|SameWay/\S+ 2", line) for line in train)
    assert all(re.fullmatch(r"(OppositeWays|SameWay)/v_\1_g\d\d_c\d\d\.avi", line) for line in test)
    first = 7 * split - 6  # the official splits test on groups 1-7, 8-14, 15-21
    assert {int(line.split("_g")[1][:2]) for line in test} == set(range(first, first + 7))
    assert {line.split()[0] for line in train} | set(test) == {clip.name for clip in plan_ucf101(seed=1, scenes=2)}
    assert (len(train), len(test)) == (18 * 8, 7 * 8)


def test_the_reader_takes_it(synthetic: Path) -> None:
    data = read_ucf101(synthetic, split=2)
    assert data.title == "UCF-101 cut down to 2 of 101 classes"
    assert all(record.path.is_file() for record in data.records)
    for records, count in ((data.train, 144), (data.test, 56)):
        assert Counter(record.label for record in records) == {0: count // 2, 1: count // 2}


def test_same_seed_same_bytes_other_seed_other_bytes(synthetic: Path, tmp_path: Path) -> None:
    again = synthesize_ucf101(tmp_path / "again", seed=1, scenes=2).root
    other = synthesize_ucf101(tmp_path / "other", seed=2, scenes=2).root
    assert digests(again) == digests(synthetic)
    ours, others = digests(synthetic), digests(other)
    assert ours.keys() == others.keys()
    assert not any(ours[name] == others[name] for name in ours if name.endswith(".avi"))


@pytest.mark.parametrize("decoder", DECODERS)
def test_decoding_gives_the_pictures_back(synthetic: Path, decoder: str) -> None:
    clips = list(plan_ucf101(seed=1, scenes=2))
    errors = []
    for clip in clips[:: len(clips) // 20]:
        with open_video(synthetic / "videos" / clip.name, decoder) as video:
            assert len(video) == 16
            assert video.fps == 25
            decoded = video.frames(np.arange(16)).astype(int)
        errors.append(np.abs(decoded - render(TwoSpots(), clip.scene, clip.directions)))
    assert np.mean(errors) < 2.5  # of 255; the noise drawn on purpose is 2.55
    assert np.max(errors) < 40  # at the rims of the spots: colours are stored at half the resolution


def test_standing_set_is_left_alone_and_others_are_protected(synthetic: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    assert synthesize_ucf101(root, seed=3, scenes=1).written
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert not synthesize_ucf101(root, seed=3, scenes=1).written
    assert stamps == {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    with pytest.raises(ValueError, match=r"another synthetic set \(seed 3 instead of 4\)"):
        synthesize_ucf101(root, seed=4, scenes=1)
    assert synthesize_ucf101(root, seed=4, scenes=1, overwrite=True).written
    next(root.glob("videos/*/*.avi")).unlink()
    with pytest.raises(ValueError, match="some of its files are missing"):
        synthesize_ucf101(root, seed=4, scenes=1)
    assert synthesize_ucf101(root, seed=4, scenes=1, overwrite=True).written
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="is no synthetic set"):
        synthesize_ucf101(mine, overwrite=True)
    assert (mine / "thesis.txt").read_text() == "precious"


def test_a_killed_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize_ucf101(tmp_path / "set", scenes=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [({"scenes": 0}, "scenes is 0"), ({"scenes": 50}, "scenes is 50"), ({"seed": -1}, "seed is -1")],
)
def test_wrong_options_are_named(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        synthesize_ucf101(tmp_path / "set", **options)
