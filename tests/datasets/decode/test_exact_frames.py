"""Every decoder gives exactly the frames that were asked for, in every kind of file."""

import av
import numpy as np
import pytest
from decoders import DECODERS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared_data import shared
from synthetic_videos import KINDS, numbered_frame, read_numbers, write_numbered, write_video

from specvid.datasets.decode import open_video
from specvid.datasets.decode.index import frame_index

COUNT = 100


@pytest.fixture(scope="module", params=sorted(KINDS))
def numbered(request, tmp_path_factory):
    return write_numbered(tmp_path_factory.mktemp("videos"), request.param, COUNT)


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(indices=st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=12))
def test_any_indices_of_a_fresh_reader(numbered, decoder, indices):
    with open_video(numbered, decoder) as video:
        assert len(video) == COUNT
        frames = video.frames(indices)
    assert frames.dtype == np.uint8
    assert frames.shape == (len(indices), 64, 96, 3)
    assert frames.flags["C_CONTIGUOUS"]
    assert read_numbers(frames) == indices


@pytest.mark.parametrize("decoder", DECODERS)
def test_one_reader_read_many_times(numbered, decoder):
    rng = np.random.default_rng(0)
    with open_video(numbered, decoder) as video:
        assert video.fps == pytest.approx(25)
        for _ in range(15):
            indices = rng.integers(COUNT, size=rng.integers(1, 9))
            assert read_numbers(video.frames(indices)) == indices.tolist()
        assert read_numbers(video.frames(np.arange(COUNT))) == list(range(COUNT))
        assert read_numbers(video.frames([COUNT - 1])) == [COUNT - 1]


def test_long_skips(tmp_path):
    path = write_video(tmp_path / "long.mp4", map(numbered_frame, range(700)), "libx264", {"g": "1000"})
    for indices in ([699], [3, 699, 350], [0, 699], [650, 20]):
        with open_video(path) as video:
            assert read_numbers(video.frames(indices)) == indices


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_static_video_is_not_taken_for_a_damaged_one(tmp_path, decoder):
    picture = np.full((64, 96, 3), 90, dtype=np.uint8)
    path = write_video(tmp_path / "static.avi", [picture] * 60, options={"g": "12"})
    with open_video(path, decoder) as video:
        frames = video.frames(range(60))
    assert np.ptp(frames.astype(int), axis=0).max() <= 2
    assert abs(int(frames.mean()) - 90) <= 2


@pytest.mark.data
@pytest.mark.parametrize("decoder", DECODERS)
def test_original_xvid_files(decoder):
    rng = np.random.default_rng(0)
    files = sorted(shared("data/ucf101-raw/videos").glob("*/*.avi"))
    assert {frame_index(str(path)).keys is None for path in files} == {True, False}  # with and without packed B-frames
    for path in files[::4]:
        with av.open(str(path)) as container:
            all_frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        last = len(all_frames) - 1
        for indices in (
            [last],
            [last - 1, last],
            rng.integers(last + 1, size=8),
            np.arange(last % 2, last + 1, 2)[-8:],
        ):
            with open_video(path, decoder) as video:
                assert len(video) == last + 1
                assert (video.frames(indices) == all_frames[indices]).all(), path.name


@pytest.mark.data
def test_several_key_frames_and_packed_b_frames(tmp_path):
    """Three original clips, their packets one after the other in one file: no place to jump to."""
    path, frames = tmp_path / "joined.avi", []
    # Such as do not end with a packed picture that is never shown: it would be shown in the middle.
    names = ("Archery/v_Archery_g20_c02", "BabyCrawling/v_BabyCrawling_g04_c01", "BabyCrawling/v_BabyCrawling_g19_c01")
    files = [shared("data/ucf101-raw/videos") / f"{name}.avi" for name in names]
    with av.open(str(path), "w") as joined:
        stream, number = None, 0
        for file in files:
            with av.open(str(file)) as container:
                frames += [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            with av.open(str(file)) as container:
                source = container.streams.video[0]
                stream = stream or joined.add_stream_from_template(source)
                for packet in container.demux(source):
                    if packet.size:
                        packet.stream, packet.pts, packet.dts = stream, number, number
                        joined.mux(packet)
                        number += 1
    assert frame_index(str(path)).keys is None
    rng = np.random.default_rng(0)
    with open_video(path) as video:
        assert len(video) == len(frames)
        for _ in range(12):
            indices = rng.integers(len(frames), size=5)
            assert (video.frames(indices) == np.stack([frames[index] for index in indices])).all()
