"""Samples: what is in them, that they depend on (seed, epoch, index) alone, and how unreadable files are replaced."""

from pathlib import Path

import numpy as np
import pytest
import torch
from decoders import DECODERS
from synthetic_videos import blank_frames, numbered_frame, read_numbers, write_numbered, write_video
from torch.utils.data import DataLoader

from specvid.datasets.clips.samplers import EpochSampler
from specvid.datasets.clips.sampling import dense_clip, test_clips, uniform_segments
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import test_transform, train_transform
from specvid.datasets.clips.videos import TestViews, TrainClips
from specvid.datasets.layouts.action_set import VideoRecord


def clip_of(frames=4, stride=2, **options):
    """Nothing is cut or resized, so that the frames' numbers stay readable."""
    return ClipSpec(frames, stride, **{"size": (64, 96), "resize": (64, 96)} | options)


PLAIN = train_transform(clip_of(), flip=0)
RICH = train_transform(clip_of(), crop="resized", jitter=0.4, erase=0.5)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    made = []
    for number, count in enumerate((60, 20, 90, 45, 100)):
        path = write_video(folder / f"{number}.avi", map(numbered_frame, range(count)), options={"g": "12"})
        made.append(VideoRecord(path, path.name, number))
    return made


def numbers(clip):
    """Frame numbers of a normalised clip (3, T, H, W)."""
    return read_numbers((255 * clip.permute(1, 2, 3, 0)).numpy())


def broken(records: list[VideoRecord], *indices: int) -> list[VideoRecord]:
    return [VideoRecord(Path("gone.avi"), "gone.avi", r.label) if i in indices else r for i, r in enumerate(records)]


@pytest.mark.parametrize("decoder", DECODERS)
def test_training_takes_the_frames_that_sampling_says(records, decoder):
    dataset = TrainClips(records, clip_of(8, 3, decoder=decoder), transform=PLAIN, seed=4)
    segments = TrainClips(records, clip_of(8, 3, decoder=decoder, sampling="segments"), transform=PLAIN, seed=4)
    assert len(dataset) == 5
    for epoch, index in ((0, 0), (0, 1), (3, 2), (3, 4)):
        length = (60, 20, 90, 45, 100)[index]
        item = dataset[epoch, index]
        assert item["video"].shape == (3, 8, 64, 96)
        assert item["video"].dtype == torch.float32
        assert (item["label"], item["index"], item["error"]) == (index, index, "")
        wanted = dense_clip(length, 8, 3, np.random.default_rng([4, epoch, index]))  # loops in the video of 20 frames
        assert numbers(item["video"]) == wanted.tolist()
        wanted = uniform_segments(length, 8, np.random.default_rng([4, epoch, index]))
        assert numbers(segments[epoch, index]["video"]) == wanted.tolist()


def test_samples_do_not_depend_on_workers_or_order(records):
    dataset = TrainClips(records, clip_of(), transform=RICH, seed=1)
    alone = {index: dataset[2, index]["video"] for index in reversed(range(5))}
    for workers in (0, 2):
        sampler = EpochSampler(5, shuffle=True, seed=1)
        sampler.set_epoch(2)
        for batch in DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=workers):
            for video, index in zip(batch["video"], batch["index"].tolist(), strict=True):
                assert torch.equal(video, alone[index])
    assert not torch.equal(dataset[3, 0]["video"], alone[0])
    other = TrainClips(records, clip_of(), transform=RICH, seed=2)
    assert not torch.equal(other[2, 0]["video"], alone[0])


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_training_clip_is_replaced_and_named(records, workers):
    dataset = TrainClips(broken(records, 1, 3), clip_of(), transform=PLAIN, seed=0)
    sound = TrainClips(records, clip_of(), transform=PLAIN, seed=0)
    loader = DataLoader(dataset, batch_size=None, sampler=[(0, i) for i in range(5)], num_workers=workers)
    for index, item in enumerate(loader):
        if index in (1, 3):
            assert "gone.avi: no such file" in item["error"]
            assert item["index"] not in (1, 3)
            assert item["label"] == item["index"]
            assert torch.equal(item["video"], dataset[0, index]["video"])  # the same one each time
        else:
            assert item["error"] == ""
            assert torch.equal(item["video"], sound[0, index]["video"])


@pytest.mark.parametrize("workers", [0, 1])
def test_other_mistakes_name_the_file(records, workers):
    too_large = clip_of(size=(80, 96))
    for dataset in (
        TrainClips(records, too_large, transform=train_transform(too_large)),
        TestViews(records, too_large, transform=test_transform(too_large)),
    ):
        key = (0, 1) if isinstance(dataset, TrainClips) else 1
        loader = DataLoader(dataset, batch_size=None, sampler=[key], num_workers=workers)
        with pytest.raises(ValueError, match=r"1.avi: size = 80 x 96 px does not fit"):
            next(iter(loader))


def test_nothing_can_be_read(records):
    dataset = TrainClips(broken(records, *range(5)), clip_of(), transform=PLAIN)
    with pytest.raises(
        ValueError, match=r"20 clips in a row cannot be read.*gone.avi: no such file.*specvid data check"
    ):
        dataset[0, 0]


def test_views(records):
    spec = clip_of(6, 4, size=(32, 48))
    views = TestViews(records, spec, transform=test_transform(spec, crops=3), clips=4)
    item = views[2]
    assert item["video"].shape == (12, 3, 6, 32, 48)
    assert (item["label"], item["index"], item["error"]) == (2, 2, "")
    whole = TestViews(records, clip_of(6, 4), transform=test_transform(clip_of()), clips=4)[2]["video"]
    assert [numbers(clip) for clip in whole] == test_clips(90, 6, 4, 4).tolist()
    by_hand = torch.cat([test_transform(spec, crops=3)(to_bytes(clip)) for clip in whole])  # clips, then crops
    assert (item["video"] - by_hand).abs().max() < 0.01
    assert torch.equal(views[2]["video"], item["video"])


def to_bytes(clip):
    return (255 * clip.permute(1, 2, 3, 0)).round().byte().numpy()


def test_views_of_segments(records):
    views = TestViews(records, clip_of(6, 1, sampling="segments"), transform=test_transform(clip_of()))
    assert numbers(views[3]["video"][0]) == uniform_segments(45, 6, None).tolist()


def test_an_unreadable_test_clip_stays(records):
    dataset = TestViews(broken(records, 2), clip_of(6, 4), transform=test_transform(clip_of(), crops=3), clips=2)
    assert len(dataset) == 5
    batches = list(DataLoader(dataset, batch_size=5, num_workers=1))
    assert batches[0]["error"] == ["", "", "gone.avi: no such file", "", ""]
    assert batches[0]["label"].tolist() == [0, 1, 2, 3, 4]
    assert batches[0]["video"].shape == (5, 6, 3, 6, 64, 96)
    assert not batches[0]["video"][2].any()


def test_files_of_other_kinds(tmp_path):
    paths = [write_numbered(tmp_path, kind, 30) for kind in ("b_frames.avi", "open.mp4", "stream.ts")]
    records = [VideoRecord(path, path.name, 0) for path in paths]
    for index in range(3):
        item = TrainClips(records, clip_of(4, 5), transform=PLAIN)[1, index]
        assert item["error"] == ""
        assert numbers(item["video"]) == dense_clip(30, 4, 5, np.random.default_rng([0, 1, index])).tolist()


def test_no_records():
    for kind in (TrainClips, TestViews):
        with pytest.raises(ValueError, match="records is empty"):
            kind([], clip_of(), transform=PLAIN)


def test_segments_have_one_view(records):
    with pytest.raises(ValueError, match="clips = 3 with segments sampling"):
        TestViews(records, clip_of(sampling="segments"), transform=test_transform(clip_of()), clips=3)


@pytest.mark.parametrize("decoder", DECODERS)
def test_frames_that_stand_in_for_lost_ones_are_said(tmp_path, decoder):
    """A clip of 40 frames, one of them lost: read, never silently; where more than a tenth is lost it is an error."""
    path = blank_frames(write_numbered(tmp_path), [50])
    spec = clip_of(40, 1, decoder=decoder)
    records = [VideoRecord(path, path.name, 0)]
    item = TestViews(records, spec, transform=test_transform(spec))[0]
    assert item["error"] == ""
    assert numbers(item["video"][0]) == [*range(30, 50), 49, *range(51, 70)]
    message = "1 of 40 wanted frames cannot be decoded, the first is frame 50 of 100: the nearest ones stand in ("
    assert item["repeated"].startswith(message)
    whole = clip_of(100, 1, decoder=decoder)
    item = TrainClips(records, whole, transform=train_transform(whole, flip=0))[0, 0]
    assert item["repeated"].startswith(f"{path}: {message.replace('1 of 40', '1 of 100')}")
    strict = clip_of(40, 1, decoder=decoder, min_readable=1.0)
    assert "is damaged: 1 of 40" in TestViews(records, strict, transform=test_transform(strict))[0]["error"]
    few = clip_of(8, 1, sampling="dense", decoder=decoder)
    lost = blank_frames(write_numbered(tmp_path, "plain.avi"), range(45, 55))
    assert "is damaged" in TestViews([VideoRecord(lost, "x", 0)], few, transform=test_transform(few))[0]["error"]
