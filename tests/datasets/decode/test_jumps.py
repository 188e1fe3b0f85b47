"""Jumps to key frames: only where decoding can begin, and each of them checked.

Most files here are such as came out wrong once: a jump landed elsewhere, or at a frame that needs others.
"""

import re
import struct
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from scipy import ndimage
from synthetic_videos import KINDS, numbered_frame, read_numbers, write_numbered, write_video

from specvid.datasets.decode import open_video
from specvid.datasets.decode.cursor import Cursor
from specvid.datasets.decode.index import frame_index
from specvid.datasets.decode.opening import Container


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_decoding_begins_only_where_that_is_exact(tmp_path, kind):
    keys = frame_index(str(write_numbered(tmp_path, kind, 60))).keys
    if kind in {"plain.avi", "closed.mp4", "vp9.webm"}:
        assert len(keys) >= 5
    else:
        assert keys is None


@pytest.fixture
def jumps(monkeypatch):
    """The key frames that are jumped to."""
    real, made = Cursor.jump, []
    monkeypatch.setattr(Cursor, "jump", lambda self, key, stamp: made.append(key) or real(self, key, stamp))
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
    """The file is read from its start then."""
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
    _check(write_video(tmp_path / name, _moving(50), "libx264", {"g": "12", **options}))


@pytest.mark.parametrize("start", [1, 5, 12, 1000])
def test_an_avi_that_counts_from_another_number(tmp_path, start):
    """``dwStart``: FFmpeg counts from there, also behind a jump, where all numbers would be off alike."""
    path = write_video(tmp_path / "late.avi", _moving(50), "mpeg4", {"g": "12"})
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.find(b"strh") + 36, start)
    path.write_bytes(data)
    _check(path)


@pytest.mark.parametrize("codec", ["mpeg4", "ffv1", "mpeg2video", "libx264"])
def test_a_container_that_takes_every_frame_for_a_key_frame(tmp_path, codec):
    """As an MP4 file does that has no ``stss``; the decoder begins at such a frame, with grey for what came before."""
    path = write_video(tmp_path / "all.mp4", _moving(50), codec, {"g": "30"})
    path.write_bytes(path.read_bytes().replace(b"stss", b"free"))
    _check(path)


@pytest.mark.parametrize("codec", ["wmv1", "wmv2", "msmpeg4v2"])
def test_an_index_that_is_wrong_about_key_frames(tmp_path, codec):
    path = write_video(tmp_path / "w.avi", _moving(50), codec, {"g": "12"})
    data = bytearray(path.read_bytes())
    index = data.rfind(b"idx1")
    for entry in range(index + 8, index + 8 + 16 * 50, 16):
        struct.pack_into("<I", data, entry + 4, 0x10)
    path.write_bytes(data)
    _check(path)


@pytest.mark.parametrize("name", ["a.ts", "a.vob"])
def test_pictures_that_are_searched_by_decoding_times(tmp_path, name):
    options = {"g": "12", "bf": "2", "flags": "+cgop", "sc_threshold": "1000000000"}
    _check(write_video(tmp_path / name, _moving(50), "mpeg4" if name == "a.ts" else "mpeg2video", options))


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_headers_that_stand_in_the_middle_once(tmp_path, name):
    """Two streams one after the other: the key frames of the second need what stands before its first one alone."""
    parts = []
    for number, quality in enumerate((20, 38)):
        options = {"g": "12", "bf": "0", "x264-params": f"qp={quality}:8x8dct=0:cabac=0"}
        pictures = _moving(48)[24 * number : 24 * number + 24]
        parts.append(write_video(tmp_path / f"{number}.h264", pictures, "libx264", options).read_bytes())
    first, second = (re.split(b"(?=\x00\x00\x01)", part) for part in parts)
    headers = [unit for unit in second if len(unit) > 3 and unit[3] & 31 in (7, 8)]
    others = [unit for unit in second if unit not in headers]
    once = dict.fromkeys(headers)
    _mux(b"".join([*first, *once, *others]), tmp_path / name)
    _check(tmp_path / name)


def test_a_picture_that_turns_in_the_middle(tmp_path):
    """The first frame decides how all are shown, also for a clip that begins behind it."""
    parts = [
        write_video(
            tmp_path / f"{number}.h264", _moving(48)[24 * number : 24 * number + 24], "libx264", {"g": "12", "bf": "0"}
        )
        for number in range(2)
    ]
    with av.open(str(parts[1])) as source:
        turning = BitStreamFilterContext("h264_metadata=display_orientation=insert:rotate=180", source.streams.video[0])
        turned = [bytes(out) for packet in source.demux(video=0) if packet.size for out in turning.filter(packet)]
    _mux(parts[0].read_bytes() + b"".join(turned), tmp_path / "turn.mp4")
    _check(tmp_path / "turn.mp4")


def test_streams_of_one_video_of_which_one_finds_a_loss(tmp_path):
    """What it found holds for the other, which began before."""
    path = write_video(tmp_path / "lost.mp4", map(numbered_frame, range(80)), "mjpeg", pixels="yuvj420p")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        for packet in [packet for packet in container.demux(video=0) if packet.size][46:48]:
            data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(data)
    with open_video(path, min_readable=0.5) as video:
        for ahead, step in ((60, 1), (0, 9), (48, 1), (5, 1)):
            early, late = video.stream(np.arange(ahead, 80, step)), video.stream(np.arange(42, 80))
            numbers = read_numbers(np.stack([next(early)]))
            found = read_numbers(np.stack([next(late) for _ in range(8)]))
            numbers += read_numbers(np.stack([*early]))
            assert found == [42, 43, 44, 45, 45, 48, 48, 49]
            assert numbers == [{46: 45, 47: 48}.get(number, number) for number in range(ahead, 80, step)]


def test_an_index_that_knows_fewer_key_frames_than_there_are(tmp_path, jumps):
    """Each jump lands at the start: one is enough to know."""
    path = write_numbered(tmp_path, "plain.avi", 100)
    data = bytearray(path.read_bytes())
    index = data.rfind(b"idx1")
    for entry in range(index + 24, index + 8 + 16 * 100, 16):
        struct.pack_into("<I", data, entry + 4, 0)
    path.write_bytes(data)
    with open_video(path) as video:
        assert read_numbers(video.frames(range(10, 100, 16))) == list(range(10, 100, 16))
    assert len(jumps) == 1


def _moving(count: int) -> list[np.ndarray]:
    """Pictures in which everything moves."""
    scene = np.random.default_rng(0).integers(0, 256, (64 + 2 * count, 96 + 3 * count, 3)).astype(np.float32)
    scene = ndimage.gaussian_filter(scene, (2, 2, 0)).clip(0, 255).astype(np.uint8)
    return [scene[2 * i : 2 * i + 64, 3 * i : 3 * i + 96] for i in range(count)]


def _mux(units: bytes, path: Path) -> None:
    """H.264 without B-frames, as it is, in a container."""
    raw = path.with_suffix(".h264")
    raw.write_bytes(units)
    with av.open(str(raw)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate([packet for packet in source.demux(video=0) if packet.size]):
            packet.time_base, packet.duration, packet.stream = Fraction(1, 25), 1, stream
            packet.pts = packet.dts = number
            target.mux(packet)


def _check(path: Path) -> None:
    """Every frame read by itself, and all on one open video, is that of the whole video, bit for bit."""
    with open_video(path) as video:
        whole = video.frames(range(len(video)))
        assert len(video) > 40 and video.warning == ""
    order = np.random.default_rng(0).permutation(len(whole))
    with open_video(path) as again:
        for index in order:
            assert (again.frames([index])[0] == whole[index]).all(), index
            with open_video(path) as video:
                assert (video.frames([index])[0] == whole[index]).all(), index
