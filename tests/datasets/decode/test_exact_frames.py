"""Every decoder gives exactly the frames that were asked for, in every kind of file."""

import importlib.util

import av
import numpy as np
import pytest
from bare_decord import read_bare
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared_data import shared
from synthetic_videos import KINDS, numbered_frame, read_numbers, write_numbered, write_video

from specvid.datasets import decode
from specvid.datasets.decode import list_decoders, open_video
from specvid.datasets.decode.index import frame_index
from specvid.datasets.decode.opening import import_decord

COUNT = 100
DECODERS = [
    name
    if name != "torchcodec"
    else pytest.param(
        name, marks=pytest.mark.skipif(not importlib.util.find_spec(name), reason="torchcodec is optional")
    )
    for name in list_decoders()
]


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


def test_decord_reads_only_where_it_gains(tmp_path, monkeypatch):
    """It makes pictures of the frames between those wanted too: without a key frame to jump to, PyAV is faster."""
    if not decode.has_decord():
        pytest.skip("decord2 is not installed here")
    opened = []
    real = import_decord().VideoReader
    monkeypatch.setattr(import_decord(), "VideoReader", lambda *a, **more: opened.append(a) or real(*a, **more))
    for kind in ("plain.avi", "closed.mp4"):
        path = write_numbered(tmp_path, kind, 60)
        for indices, by_decord in ((range(0, 60, 2), False), ([11, 13], False), ([40, 42], True), ([2, 50], True)):
            with open_video(path) as video:
                assert read_numbers(video.frames(list(indices))) == list(indices)
            assert bool(opened) == by_decord
            opened.clear()
            with open_video(path) as video:
                assert read_numbers(np.stack(list(video.stream(np.array(indices))))) == list(indices)
            assert bool(opened) == by_decord
            opened.clear()


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_static_video_is_not_taken_for_a_damaged_one(tmp_path, decoder):
    picture = np.full((64, 96, 3), 90, dtype=np.uint8)
    path = write_video(tmp_path / "static.avi", [picture] * 60, options={"g": "12"})
    with open_video(path, decoder) as video:
        frames = video.frames(range(60))
    assert np.ptp(frames.astype(int), axis=0).max() <= 2
    assert abs(int(frames.mean()) - 90) <= 2


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_decord_jumps_only_where_that_is_exact(tmp_path, kind):
    way = frame_index(str(write_numbered(tmp_path, kind, 60))).way
    assert way == ("jump" if kind in {"plain.avi", "closed.mp4", "vp9.webm"} else "other")


def test_bare_decord_is_off_where_we_do_not_let_it_jump(tmp_path):
    """Why `exact.py` is there; should decord ever be mended, this test says so."""
    got = read_numbers(read_bare(write_numbered(tmp_path, "b_frames.avi", COUNT), [50, 90]))
    assert got != [50, 90]


@pytest.mark.data
@pytest.mark.parametrize("decoder", DECODERS)
def test_original_xvid_files(decoder):
    rng = np.random.default_rng(0)
    files = sorted(shared("data/ucf101-raw/videos").glob("*/*.avi"))
    ways = {frame_index(str(path)).way for path in files}
    assert ways == {"jump", "other"}  # with and without packed B-frames
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
    """Three original clips, their packets one after the other in one file: decord would jump wrongly."""
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
    assert frame_index(str(path)).way == "other"
    rng = np.random.default_rng(0)
    with open_video(path) as video:
        assert len(video) == len(frames)
        for _ in range(12):
            indices = rng.integers(len(frames), size=5)
            assert (video.frames(indices) == np.stack([frames[index] for index in indices])).all()
