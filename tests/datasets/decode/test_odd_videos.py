"""Videos that people really have: what a player plays is read right, by every decoder; what it cannot play is named."""

import os
import struct
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from decoders import DECODERS
from synthetic_videos import (
    blank_frames,
    cut_copied,
    numbered_frame,
    read_numbers,
    set_display_matrix,
    write_numbered,
    write_sound,
    write_streams,
    write_video,
)

from specvid.datasets.decode import open_video
from specvid.datasets.decode.index import frame_index
from specvid.datasets.decode.verify import verify_video
from specvid.errors import VideoError

TWO_RATES = [0.033 * i if i < 20 else 0.66 + 0.5 * (i - 20) for i in range(40)]


def _numbered(path, count=40, codec="libx264", options=None, **more):
    return write_video(path, map(numbered_frame, range(count)), codec, options, **more)


def _check(path, numbers, warning=""):
    """Both decoders read the frames ``numbers`` and no others, in any order, and say ``warning``."""
    rng = np.random.default_rng(0)
    numbers = np.asarray(numbers)
    for decoder in DECODERS:
        with open_video(path, decoder) as video:
            assert len(video) == len(numbers)
            assert read_numbers(video.frames(np.arange(len(video)))) == numbers.tolist()
            assert video.warning == warning
        for _ in range(4):
            indices = rng.integers(len(numbers), size=5)
            with open_video(path, decoder) as video:
                assert read_numbers(video.frames(indices)) == numbers[indices].tolist()
    assert verify_video(path).frames == len(numbers)
    assert verify_video(path).warning == warning


def test_an_edit_list_hides_frames(tmp_path):
    source = _numbered(tmp_path / "source.mp4", 60, options={"g": "12", "bf": "0"})
    path = cut_copied(source, tmp_path / "cut.mp4", 10)
    _check(path, range(10, 60), "its header announces 60 frames, 50 decode")


def test_av1(tmp_path):
    path = _numbered(tmp_path / "av1.mp4", 20, "libsvtav1", {"preset": "8"})
    _check(path, range(20))
    if hasattr(os, "sched_getscheduler"):  # this encoder gives processes of root's real-time priority
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_browser_recording_without_duration(tmp_path):
    fast = {"deadline": "realtime", "cpu-used": "8"}
    path = _numbered(tmp_path / "live.webm", codec="libvpx-vp9", options=fast, container={"live": "1"})
    _check(path, range(40))


def test_packets_that_are_not_shown(tmp_path):
    """VP8's alternate reference pictures: bit 4 of the first byte says whether one is shown (RFC 6386, 9.1)."""
    path = _numbered(tmp_path / "hidden.webm", codec="libvpx", options={"g": "100", "auto-alt-ref": "0"})
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    for packet in (packets[20], packets[33]):
        data = data.replace(packet, bytes([packet[0] & ~0x10]) + packet[1:])
    path.write_bytes(data)
    shown = [number for number in range(40) if number not in (20, 33)]
    _check(path, shown)
    with open_video(path) as video:
        assert video.times == pytest.approx(np.array(shown) / 25)


def test_dropped_frames_of_an_avi(tmp_path):
    """Capture programs write empty chunks for frames they missed."""
    times = [(i + 2 * (i >= 6) + (i >= 20)) / 25 for i in range(40)]
    path = _numbered(tmp_path / "drop.avi", codec="mpeg4", times=times)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        announced = container.streams.video[0].frames
    assert data.count(b"00dc\0\0\0\0") > 0
    _check(path, range(40), f"its header announces {announced} frames, 40 decode")
    with open_video(path) as video:
        assert video.times == pytest.approx(times)


def test_pictures_that_are_not_coded(tmp_path):
    """Xvid's way of dropping frames, as in original files of UCF-101."""
    from synthetic_videos import lose_frames

    path = lose_frames(write_numbered(tmp_path), [50, 99])
    _check(path, [i for i in range(99) if i != 50], "its header announces 100 frames, 98 decode")


@pytest.mark.data
@pytest.mark.parametrize(("name", "announced", "frames"), [("g07_c03", 154, 153), ("g20_c01", 367, 365)])
def test_original_files_that_announce_too_much(name, announced, frames):
    from shared_data import shared

    path = str(shared("data/odd/video") / f"v_HorseRace_{name}.avi")
    with av.open(path) as container:
        wanted = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    for decoder in DECODERS:
        with open_video(path, decoder) as video:
            assert len(video) == frames
            assert (video.frames(np.arange(frames)) == wanted).all()
            assert video.warning == f"its header announces {announced} frames, {frames} decode"


def test_the_picture_size_changes(tmp_path):
    path = tmp_path / "two_sizes.ts"
    large = [numbered_frame(i).repeat(2, 0).repeat(2, 1) for i in range(20, 40)]
    parts = [_numbered(tmp_path / "a.ts", 20), write_video(tmp_path / "b.ts", large, "libx264")]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    _check(path, range(40), "the size of 20 of its frames differs: brought to 96 x 64 px")


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), lambda x: x),
        ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),  # clockwise, as phones held upright write it
        ((-1, 0, 0, -1), lambda x: np.rot90(x, 2)),
        ((0, -1, 1, 0), lambda x: np.rot90(x)),
        ((-1, 0, 0, 1), lambda x: x[:, ::-1]),
        ((1, 0, 0, -1), lambda x: x[::-1]),
        ((0, 1, 1, 0), lambda x: x.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda x: np.rot90(x, 2).swapaxes(0, 1)),
    ],
)
@pytest.mark.parametrize("decoder", DECODERS)
def test_turned_as_players_show_it(tmp_path, decoder, matrix, shown):
    path = _numbered(tmp_path / "phone.mp4", 12)
    with open_video(path, "pyav") as video:
        stored = video.frames(range(12))
    set_display_matrix(path, *matrix)
    with open_video(path, decoder) as video:
        frames = video.frames(range(12))
        assert frames.flags["C_CONTIGUOUS"]
        assert video.size == frames.shape[1:3]
        assert (frames == np.stack([shown(frame) for frame in stored])).all()


def test_of_several_streams_the_best(tmp_path):
    _check(write_streams(tmp_path / "two.mp4", [1, 2]), range(20))


def test_a_cover_picture_is_no_film(tmp_path):
    song = write_streams(tmp_path / "song.mp4", [], cover=True, sound=True)
    for decoder in DECODERS:
        with pytest.raises(VideoError, match=r"has no video stream \(it holds: a cover picture, audio\)"):
            open_video(song, decoder)
    _check(write_streams(tmp_path / "film.mp4", [1], cover=True, sound=True), range(20))


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
def test_the_rate_varies(tmp_path, name):
    path = _numbered(tmp_path / name, times=TWO_RATES)
    _check(path, range(40))
    for decoder in DECODERS:
        with open_video(path, decoder) as video:
            assert video.times == pytest.approx(TWO_RATES, abs=0.001)


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts"])
def test_time_stamps_that_do_not_start_at_0(tmp_path, name):
    path = _numbered(tmp_path / name, times=[10 + i / 25 for i in range(40)])
    _check(path, range(40))
    with open_video(path) as video:
        assert video.times is None  # evenly spaced, and counted from the first frame


NAMES = ["2024-05-01T10:30:00.mp4", "-abc123.mp4", "--", "concat:a.mp4", "pipe:", "%03d.mp4", "a b'c\"d.mp4", "жук.mp4"]


@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"caf\xe9.mp4")], ids=ascii)
def test_names(tmp_path, monkeypatch, name):
    data = _numbered(tmp_path / "plain.mp4").read_bytes()
    monkeypatch.chdir(tmp_path)  # a name with nothing before it
    with open(name, "wb") as file:
        file.write(data)
    _check(name, range(40))


@pytest.mark.parametrize("address", ["rtsp://10.0.0.7/live", "https://example.org/a.mp4"])
def test_the_address_of_a_stream(address):
    with pytest.raises(VideoError, match=r"is the address of a stream, not a file: record it first, e\.g\. `ffmpeg -i"):
        open_video(address)


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match="is a camera or a pipe, not a file"):
        open_video(tmp_path / "pipe.mp4")


def test_an_absurd_count_of_frames(tmp_path):
    """The ``strh`` of an AVI announces 2^31 - 1 frames: the frames are counted, whatever it says."""
    path = write_numbered(tmp_path, count=30)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.find(b"vids") + 24 + 8 - 8 + 8, 2**31 - 1)
    path.write_bytes(data)
    assert frame_index(str(path)).header.frames == 2**31 - 1
    _check(path, range(30), "its header announces 2147483647 frames, 30 decode")


def test_an_absurd_picture_size(tmp_path, monkeypatch):
    from specvid.datasets.decode import forget_headers

    path = write_numbered(tmp_path, count=30)
    data = bytearray(path.read_bytes())
    struct.pack_into("<ii", data, data.find(b"strf") + 12, 60000, 60000)
    path.write_bytes(data)
    _check(path, range(30))  # the pictures themselves tell their size
    forget_headers()
    monkeypatch.setattr(sys.modules["specvid.datasets.decode.probe"], "LARGEST", 1000)
    with pytest.raises(VideoError, match=r"announces pictures of 96 x 64 px, more than 1,000"):
        open_video(path)
    forget_headers()


FAST_VP9 = {"deadline": "realtime", "cpu-used": "8"}
KINDS = {
    "interlaced.mpg": ("mpeg2video", {"flags": "+ilme+ildct"}, {}),
    "interlaced.mp4": ("libx264", {"x264-params": "tff=1"}, {}),
    "fields.ts": ("libx264", {"x264-params": "tff=1:bframes=2"}, {}),
    "alpha.webm": ("libvpx-vp9", FAST_VP9, {"pixels": "yuva420p"}),
    "prores.mov": ("prores_ks", {}, {"pixels": "yuv422p10le"}),
    "raw.m2v": ("mpeg2video", {}, {}),
    "windows.asf": ("wmv2", {}, {}),
    "old.divx": ("mpeg4", {}, {"form": "avi"}),
    "raw.h264": ("libx264", {}, {}),
    "hdr.mp4": ("libx265", {"x265-params": "log-level=none"}, {"pixels": "yuv420p10le"}),
    "webcam.avi": ("mjpeg", {}, {"pixels": "yuvj422p"}),
    "full.mp4": ("libx264", {}, {"pixels": "yuv444p"}),
    "old.flv": ("flv1", {}, {}),
    "old.3gp": ("mpeg4", {}, {}),
    "theora.ogv": ("libtheora", {}, {}),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds(tmp_path, name):
    codec, options, more = KINDS[name]
    _check(_numbered(tmp_path / name, codec=codec, options=options, **more), range(40))


@pytest.mark.parametrize(("aspect", "width"), [(Fraction(2), 192), (Fraction(16, 15), 102), (Fraction(1, 2), 48)])
@pytest.mark.parametrize("name", ["dvd.mpg", "wide.mp4", "wide.avi"])
def test_pixels_that_are_not_square(tmp_path, name, aspect, width):
    if name == "dvd.mpg":  # MPEG-2 states the shape of the picture, one of three
        aspect, width = Fraction(16, 9) / Fraction(96, 64), 114
    codec = {"dvd.mpg": "mpeg2video", "wide.mp4": "libx264", "wide.avi": "mpeg4"}[name]
    path = _numbered(tmp_path / name, codec=codec, pixel_aspect=aspect)
    for decoder in DECODERS:
        with open_video(path, decoder) as video:
            assert video.frames([0, 39]).shape == (2, 64, width, 3)
            assert video.size == (64, width)


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_nearest_frames_stand_in_and_that_is_said(tmp_path, decoder):
    path = blank_frames(write_numbered(tmp_path), range(80, 84))
    with open_video(path, decoder) as video:
        assert len(video) == 100
        assert read_numbers(video.frames(range(100))) == [*range(80), 79, 79, 84, 84, *range(84, 100)]
        assert video.warning.startswith(
            "4 of 100 wanted frames cannot be decoded, the first is frame 80 of 100: the nearest ones stand in (mpeg4:"
        )
        assert read_numbers(np.stack(list(video.stream(np.arange(60, 100))))) == [
            *range(60, 80),
            79,
            79,
            84,
            84,
            *range(84, 100),
        ]
    for share, fails in ((0.9, True), (0.5, False), (0.0, False)):
        with open_video(path, decoder, min_readable=share) as video:
            if fails:
                with pytest.raises(VideoError, match=r"is damaged: 1 of 2 wanted .* frame 81 of 100 \(mpeg4: "):
                    video.frames([3, 81])
            else:
                assert read_numbers(video.frames([3, 81])) == [3, 79]


def test_sound_beside_the_pictures_does_not_matter(tmp_path):
    _check(write_streams(tmp_path / "film.mkv", [1], sound=True), range(20))
    with pytest.raises(VideoError, match=r"it holds: audio"):
        open_video(write_sound(tmp_path / "sound.mkv"))


def test_a_list_of_other_files_is_no_video(tmp_path):
    """FFmpeg would read whatever files it names, also through a file that is called .mp4."""
    _numbered(tmp_path / "part.ts", codec="mpeg2video")
    (tmp_path / "clip.mp4").write_text("ffconcat version 1.0\nfile part.ts\n")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\npart.ts\n#EXT-X-ENDLIST\n")
    for name in ("clip.mp4", "list.m3u8"):
        with pytest.raises(VideoError, match=r"is a list of other files \(.*\), not a video: name these instead"):
            open_video(tmp_path / name)
