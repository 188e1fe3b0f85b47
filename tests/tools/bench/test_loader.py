"""The loader's benchmark: it compares the same frames, and its table says what was measured."""

import shutil
from importlib.util import find_spec

import numpy as np
import pytest
from shared_data import shared
from synthetic_videos import numbered_frame, read_numbers, write_video

from specvid.datasets import decode
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.videos import TrainClips
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.tools.bench import loader as tool
from specvid.tools.bench.loader import (
    BARE,
    CONVERTED,
    FIRST,
    FLOATS,
    LOADER,
    MMACTION,
    NORMALISED,
    SHRUNK,
    THREADED,
    as_text,
    bench_loader,
)

needs_decord = pytest.mark.skipif(not find_spec("decord"), reason="the loader is compared with it: pip install decord2")


def _wide(number):
    """decord alone does not read narrow frames on every processor."""
    return numbered_frame(number).repeat(4, axis=0).repeat(4, axis=1)


@pytest.fixture
def small(tmp_path):
    lists, names = tmp_path / "ucfTrainTestlist", []
    for group in range(1, 7):
        names.append(f"Archery/v_Archery_g{group:02d}_c01.avi")
        (tmp_path / "videos/Archery").mkdir(parents=True, exist_ok=True)
        write_video(tmp_path / "videos" / names[-1], map(_wide, range(10 * group)), options={"g": "12"})
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n")
    (lists / "trainlist01.txt").write_text("".join(f"{name} 1\n" for name in names[1:]))
    (lists / "testlist01.txt").write_text(f"{names[0]}\n")
    return tmp_path


@needs_decord
def test_rows(small):
    messages, theirs = [], [MMACTION] if find_spec("mmaction") else []
    rows = bench_loader(small, frames=4, size=32, resize=(40, 60), clips=3, rounds=2, workers=1, status=messages.append)
    assert [(row.name, row.workers) for row in rows] == [
        *((name, 0) for name in (BARE, THREADED, LOADER, CONVERTED, FLOATS, *theirs, FIRST)),
        *((name, 1) for name in (BARE, LOADER, CONVERTED, NORMALISED, FLOATS, *theirs)),
    ]
    assert all(row.clips_per_second > 0 and row.to_decord > 0 for row in rows)
    assert [row.to_decord for row in rows if row.name == BARE] == [1, 1]
    assert messages[0] == "3 clips a round" and len(messages) == 1 + 4
    about, _, *printed = as_text(rows).splitlines()
    assert "av " in about and "decord" in about
    assert len(printed) == len(rows) + 1
    assert " ".join(printed[0].split()) == "workers clips / s ratio to bare to mmaction2 by CPU time"
    assert {row.to_mmaction is None for row in rows} == {not theirs}


def test_what_the_main_process_normalises_is_what_a_worker_would(small, monkeypatch):
    made = {}

    class Feed(tool._Feed):
        def __init__(self, dataset, count, workers, then):
            name = NORMALISED if then else FLOATS  # the last one without `then`
            videos = made[name] = []
            super().__init__(dataset, count, workers, lambda sample: videos.append((then or _video)(sample)))

    monkeypatch.setattr(tool, "find_spec", lambda name: None)
    monkeypatch.setattr(tool, "_Feed", Feed)
    bench_loader(small, frames=4, size=32, resize=(40, 60), clips=3, rounds=1, workers=1)
    assert len(made[FLOATS]) == 3 * 2  # a round warms up
    assert all(np.array_equal(ours[0], theirs) for ours, theirs in zip(made[NORMALISED], made[FLOATS], strict=True))


def _video(sample):
    return sample["video"]


def test_a_shrunk_set_is_a_row(small, tmp_path):
    shutil.copytree(small, tmp_path / "shrunk", ignore=shutil.ignore_patterns("shrunk"))
    options = {"frames": 4, "size": 32, "resize": (40, 60), "clips": 3, "rounds": 1, "workers": 0}
    rows = {row.name: row for row in bench_loader(small, shrunk=tmp_path / "shrunk", **options)}
    assert rows[SHRUNK].clips_per_second > 0
    next((tmp_path / "shrunk/ucfTrainTestlist").glob("train*")).write_text("Archery/v_Archery_g02_c01.avi 1\n")
    with pytest.raises(ValueError, match=r"has no training clip 'Archery/v_Archery_g03_c01\.avi'"):
        bench_loader(small, shrunk=tmp_path / "shrunk", **options)


def test_without_decord_the_forms_of_the_loader_are_compared(small, monkeypatch):
    monkeypatch.setattr(tool, "find_spec", lambda name: None)
    rows = bench_loader(small, shrunk=small, frames=4, size=32, resize=(40, 60), clips=2, rounds=1, workers=1)
    assert [(row.name, row.workers) for row in rows] == [
        *((name, 0) for name in (LOADER, CONVERTED, FLOATS, SHRUNK, FIRST)),
        *((name, 1) for name in (LOADER, CONVERTED, NORMALISED, FLOATS, SHRUNK)),
    ]
    assert {row.to_decord for row in rows} == {None}
    assert "no decord to compare with: `pip install decord2`" in as_text(rows).splitlines()[0]


def test_only_what_is_called_so_has_never_seen_its_files(small, monkeypatch):
    opened = []
    real = tool._one_by_one

    def one_by_one(datasets, count, epoch):
        before = decode._read_header.cache_info().misses
        found = real(datasets, count, epoch)
        opened.append((list(datasets), decode._read_header.cache_info().misses - before))
        return found

    monkeypatch.setattr(tool, "_one_by_one", one_by_one)
    bench_loader(small, shrunk=small, frames=4, size=32, resize=(40, 60), clips=3, rounds=1, workers=0)
    assert {tuple(names): misses for names, misses in opened[3:]} == {
        (FIRST,): 3,
        (SHRUNK,): 0,  # the same files here
        tuple(opened[-1][0]): 0,
    }


@needs_decord
def test_both_sides_read_the_same_frames(small):
    records = [VideoRecord(path, path.name, 0) for path in sorted((small / "videos/Archery").iterdir())]
    bare = tool._Bare(records, 8, 3, 1)
    theirs = tool._Mmaction(bare, size=64, resize=(64, 64)) if find_spec("mmaction") else None
    loader = TrainClips(records, ClipSpec(8, 3, 64, 64), transform=lambda frames, rng: frames)
    for epoch in range(3):
        for index in range(len(records)):
            wanted = np.unique(read_numbers(loader[epoch, index]["video"]))
            assert read_numbers(bare[epoch, index].numpy()) == wanted.tolist()
            if theirs is not None:
                clip_thwc = theirs[epoch, index].numpy()[0].transpose(1, 2, 3, 0)
                assert clip_thwc.shape == (8, 64, 64, 3)


@needs_decord
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ucf101-raw", "ucf101-5"])
def test_the_loader_keeps_up_with_decord(name):
    """By CPU time, so that other programs take little: 0.9 is promised, more was measured (docs/benchmarks.md)."""
    rows = bench_loader(shared(f"data/{name}"), clips=30, rounds=3, workers=0)
    assert {row.name: row.to_decord for row in rows}[LOADER] > 0.9
