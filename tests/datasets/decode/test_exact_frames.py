"""Every decoder gives exactly the frames that were asked for, in every kind of file."""

from types import SimpleNamespace

import av
import numpy as np
import pytest
from decoders import DECODERS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from shared_data import shared
from synthetic_videos import KINDS, numbered_frame, read_numbers, write_numbered, write_video

from specvid.datasets.decode import open_video
from specvid.datasets.decode.cursor import Cursor
from specvid.datasets.decode.index import frame_index
from specvid.datasets.decode.opening import Container

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


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_decoding_begins_only_where_that_is_exact(tmp_path, kind):
    keys = frame_index(str(write_numbered(tmp_path, kind, 60))).keys
    if kind in {"plain.avi", "closed.mp4", "vp9.webm", "stream.ts", "windows.wmv"}:
        assert len(keys) >= 5
    else:
        assert keys is None


@pytest.fixture
def jumps(monkeypatch):
    """The key frames that are jumped to."""
    real, made = Cursor.jump, []
    monkeypatch.setattr(Cursor, "jump", lambda self, key: made.append(key) or real(self, key))
    return made


@pytest.mark.parametrize("kind", ["plain.avi", "closed.mp4"])
def test_what_nobody_wants_is_jumped_over(tmp_path, kind, jumps):
    path = write_numbered(tmp_path, kind, 60)
    keys = frame_index(str(path)).keys
    for wanted, to in (
        (range(0, 60, 2), []),
        ([0, 3], []),
        ([12], [12]),
        ([40, 42], [40]),
        ([2, 50], [50]),
        ([13, 30, 59], [13, 30, 59]),
    ):
        for read in ("frames", "stream"):
            with open_video(path) as video:
                assert read_numbers(np.stack([*getattr(video, read)(np.array(wanted))])) == list(wanted)
            assert jumps == [keys[keys <= frame][-1] for frame in to]
            jumps.clear()


def test_a_video_stays_open_between_reads(tmp_path, jumps):
    """What lies ahead is decoded on to, what lies behind is jumped back to; streams may take turns."""
    with open_video(write_numbered(tmp_path, "plain.avi", 60)) as video:
        for wanted, keys in ((14, [12]), (16, []), (16, [12]), (5, []), (9, []), (30, [24])):
            jumps.clear()
            assert read_numbers(video.frames([wanted])) == [wanted]
            assert jumps == keys
        early, late = (video.stream(np.arange(start, start + 5)) for start in (3, 40))
        both = np.stack([frame for pair in zip(early, late, strict=True) for frame in pair])
        assert read_numbers(both) == [3, 40, 4, 41, 5, 42, 6, 43, 7, 44]


@pytest.mark.parametrize("offset", [-20, -1, 1, 7, 20, 10**6])
def test_a_jump_that_lands_elsewhere_is_noticed(tmp_path, monkeypatch, offset):
    """Before the frames wanted it is no harm, behind them the file is read from its start."""
    path = write_numbered(tmp_path, "closed.mp4", 60)
    tick = int(frame_index(str(path)).packet_times[1])
    real = Container.__init__

    def open_badly(self, path):
        real(self, path)
        container, seek = self.container, self.container.seek
        self.container = SimpleNamespace(
            seek=lambda offset_, stream: seek(max(0, offset_ + offset * tick), stream=stream, any_frame=False),
            demux=container.demux,
            close=container.close,
        )

    monkeypatch.setattr(Container, "__init__", open_badly)
    with open_video(path) as video:
        for wanted in ([25], [50, 52], [13, 14], [2, 40]):
            assert read_numbers(video.frames(wanted)) == wanted
        assert video.warning == ""


@pytest.mark.parametrize(
    "options",
    [
        {"x264-params": "open-gop=1"},
        {"x264-params": "intra-refresh=1"},
        {"x264-params": "bframes=4:b-pyramid=normal:ref=8"},
        {"x264-params": "bframes=0:ref=8:scenecut=0"},
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_pictures_behind_a_jump_are_those_of_the_whole_video(tmp_path, name, options):
    """Bit for bit, of pictures in which everything moves."""
    rng = np.random.default_rng(0)
    scene = ndimage.gaussian_filter(rng.integers(0, 256, (200, 260, 3)).astype(np.float32), (2, 2, 0))
    pictures = [scene[2 * i : 2 * i + 64, 3 * i : 3 * i + 96].clip(0, 255).astype(np.uint8) for i in range(50)]
    path = write_video(tmp_path / name, pictures, "libx264", {"g": "12", **options})
    with open_video(path) as video:
        whole = video.frames(range(50))
    for index in range(50):
        with open_video(path) as video:
            assert (video.frames([index])[0] == whole[index]).all(), index
