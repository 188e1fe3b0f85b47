"""Tracklets as clips: restricted random frames, chunks for testing, frames that are odd or unreadable."""

import numpy as np
import pytest
import torch
from PIL import Image

from specvid.datasets.clips.sampling import TEST_SAMPLINGS, chunks_of
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.tracklets import TestChunks, TrainTracklets
from specvid.datasets.clips.transforms import test_transform as make_test_transform
from specvid.datasets.decode.images import read_frame, read_frames, stack
from specvid.datasets.layouts.reid_set import Tracklet
from specvid.errors import VideoError


def spec(frames):
    return ClipSpec(frames, 1, (16, 8), (16, 8))


def write(folder, count, *, size=(8, 16), pid=1, name="t"):
    """A tracklet whose frame i is grey of level i."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", size, (i % 256,) * 3).save(folder / f"{name}{i:04d}.png")
    return Tracklet(name, pid, 1, folder, tuple(f"{name}{i:04d}.png" for i in range(count)))


def levels(video):
    """Which frames are in a clip (3, T, H, W)."""
    return (video[0, :, 0, 0] * 255).round().int().tolist()


def plain(frames, rng):
    return torch.from_numpy(frames).permute(3, 0, 1, 2) / 255


def train_set(tracklets, frames=4, labels=None):
    labels = labels or list(range(len(tracklets)))
    return TrainTracklets(tracklets, labels, spec(frames), transform=plain)


def chunked(tracklets, frames=4, sampling="all"):
    return TestChunks(tracklets, spec(frames), transform=make_test_transform(spec(frames)), sampling=sampling)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 16, 17, 100])
@pytest.mark.parametrize("frames", [1, 4, 8])
def test_all_frames_come_once(length, frames):
    indices, valid = chunks_of(length, frames)
    assert sorted(indices[valid].tolist()) == list(range(length))
    assert len(indices) == -(-length // frames)
    assert (valid.any(axis=1)).all()
    assert valid.sum(axis=1).max() - valid.sum(axis=1).min() <= 1  # no chunk of a single frame beside full ones
    for chunk, good in zip(indices, valid, strict=True):
        assert set(chunk[~good]) <= set(chunk[good])
        assert (np.diff(chunk[good]) == len(indices)).all()


@pytest.mark.parametrize("length", [1, 3, 4, 5, 100])
def test_single_chunks(length):
    for sampling, expected in (("even", 0.5), ("first", 0.0)):
        indices, valid = chunks_of(length, 4, sampling)
        count = min(length, 4)
        assert indices.shape == (1, 4)
        assert valid.sum() == count
        assert indices[valid].tolist() == [int((i + expected) * length / count) for i in range(count)]


def test_unknown_sampling_is_named():
    assert TEST_SAMPLINGS == ("all", "even", "first")
    with pytest.raises(ValueError, match="Did you mean 'even'"):
        chunks_of(10, 4, "evenly")
    with pytest.raises(ValueError, match="length = 0"):
        chunks_of(0, 4)


def test_one_frame_of_each_part(tmp_path):
    data = train_set([write(tmp_path, 40)])
    seen = set()
    for epoch in range(60):
        drawn = levels(data[(epoch, 0)]["video"])
        assert [level // 10 for level in drawn] == [0, 1, 2, 3]
        seen |= set(drawn)
    assert len(seen) > 30
    assert levels(data[(3, 0)]["video"]) == levels(data[(3, 0)]["video"])


def test_a_tracklet_of_one_frame(tmp_path):
    tracklet = write(tmp_path, 1)
    item = train_set([tracklet])[(0, 0)]
    assert levels(item["video"]) == [0, 0, 0, 0]
    item = chunked([tracklet])[0]
    assert item["mask"].tolist() == [True, False, False, False]
    assert item["video"].shape == (3, 4, 16, 8)


def test_a_tracklet_of_a_thousand_frames_comes_in_chunks(tmp_path):
    tracklet = write(tmp_path, 1000, size=(4, 8))
    chunks = chunked([tracklet, write(tmp_path, 3, name="short")], frames=8)
    assert len(chunks) == 126
    assert chunks.tracklet.tolist() == [0] * 125 + [1]
    seen = [level for i in (0, 1, 124) for level in levels(chunks[i]["video"])]
    assert seen == [(c + 125 * k) % 256 for c in (0, 1, 124) for k in range(8)]
    assert chunks[124]["video"].numel() == 3 * 8 * 16 * 8
    assert chunks[125]["mask"].tolist() == [True] * 3 + [False] * 5


def test_frames_of_different_sizes(tmp_path):
    tracklet = write(tmp_path, 4)
    Image.new("RGB", (30, 50), (2, 2, 2)).save(tracklet.path(2))
    assert levels(train_set([tracklet])[(0, 0)]["video"]) == [0, 1, 2, 3]
    item = chunked([tracklet])[0]
    assert item["mask"].all()
    assert levels(item["video"]) == [0, 1, 2, 3]


def test_an_unreadable_frame_is_named_and_does_not_count(tmp_path):
    tracklet = write(tmp_path, 4)
    tracklet.path(1).write_bytes(b"not a picture")
    tracklet.path(2).unlink()
    item = chunked([tracklet])[0]
    assert item["mask"].tolist() == [True, False, False, True]
    assert levels(item["video"]) == [0, 0, 0, 3]
    assert f"{tracklet.path(1)}: this is no image file" in item["error"]
    assert f"{tracklet.path(2)}: there is no such file" in item["error"]
    item = train_set([tracklet])[(0, 0)]
    assert levels(item["video"]) == [0, 0, 3, 3]
    assert "t0001.png" in item["error"]
    assert "t0002.png" in item["error"]


def test_when_no_drawn_frame_is_readable_another_one_stands_in(tmp_path):
    tracklet = write(tmp_path, 6)
    data = train_set([tracklet], frames=1)
    for i in range(6):
        if i != 4:
            tracklet.path(i).unlink()
    for epoch in range(8):
        assert levels(data[(epoch, 0)]["video"]) == [4]


def test_an_unreadable_tracklet_gives_way_to_one_of_the_same_person(tmp_path):
    tracklets = [write(tmp_path / str(i), 2 + i, name=f"p{i}-") for i in range(4)]
    for i in range(len(tracklets[0])):
        tracklets[0].path(i).unlink()
    data = train_set(tracklets, labels=[5, 6, 5, 6])
    item = data[(0, 0)]
    assert (item["index"], item["label"]) == (2, 5)
    assert "p0-" in item["error"]
    alone = train_set(tracklets[:2], labels=[5, 6])[(0, 0)]
    assert alone["label"] in (5, 6)
    item = chunked(tracklets)[0]
    assert not item["mask"].any()
    assert not item["video"].any()


def test_nothing_readable_at_all_is_an_error(tmp_path):
    tracklet = write(tmp_path, 2)
    for i in range(2):
        tracklet.path(i).unlink()
    with pytest.raises(ValueError, match="data check"):
        train_set([tracklet])[(0, 0)]


def test_a_cut_off_file_is_unreadable(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 32, 3), np.uint8)).save(path)
    whole = read_frame(path)
    assert whole.shape == (64, 32, 3)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(VideoError, match=r"a\.jpg"):
        read_frame(path)
    Image.new("L", (5, 7), 9).save(tmp_path / "grey.png")
    assert read_frame(tmp_path / "grey.png").tolist() == [[[9, 9, 9]] * 5] * 7


def test_each_file_is_read_once(tmp_path, monkeypatch):
    from specvid.datasets.decode import images as tracklet_frames

    read = []
    monkeypatch.setattr(tracklet_frames, "read_frame", lambda path: read.append(path) or np.zeros((2, 2, 3), np.uint8))
    frames, errors = read_frames(write(tmp_path, 3), [0, 2, 0, 2])
    assert len(frames) == 4
    assert not errors
    assert len(read) == 2
    assert stack(frames, (9, 9)).shape == (4, 2, 2, 3)


def test_frames_of_different_sizes_are_resized_as_the_network_was_given_them(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (height, 8, 3), np.uint8) for height in (16, 20)]
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    tracklet = Tracklet("t", 1, 1, tmp_path, ("0.png", "1.png"))
    size = ClipSpec(2, 1, (12, 6), (12, 6), interpolation="bicubic")
    video = TestChunks([tracklet], size, transform=make_test_transform(size))[0]["video"]
    for i, picture in enumerate(pictures):
        wanted = np.asarray(Image.fromarray(picture).resize((6, 12), Image.Resampling.BICUBIC))
        assert np.array_equal((video[:, i] * 255).round().permute(1, 2, 0).numpy(), wanted)


def test_wrong_sizes_are_named(tmp_path):
    with pytest.raises(ValueError, match="1 tracklets and 2 labels"):
        train_set([write(tmp_path, 2)], labels=[1, 2])
