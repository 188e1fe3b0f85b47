"""Containers that are cut off, or have bytes zeroed inside: what is missing is counted, the rest keeps its numbers."""

import numpy as np
import pytest
from synthetic_videos import numbered_frame, read_numbers, write_numbered, write_video

from specvid.datasets.decode import open_video
from specvid.datasets.decode.structure.find import find_structure
from specvid.datasets.decode.structure.walk import WALKS
from specvid.datasets.decode.verify import verify_video
from specvid.errors import VideoError

COUNT, GROUP = 100, 10
# name -> (codec, options of the container): in several parts each, with a key frame every 10 frames
FILES = {
    "video.mkv": ("libx264", {"cluster_time_limit": "400"}),
    "video.webm": ("libvpx-vp9", {"cluster_time_limit": "400"}),
    "video.wmv": ("wmv2", {}),
    "video.flv": ("flv", {}),
    "video.avi": ("mpeg4", {}),
    "video.ivf": ("libvpx", {}),
    "video.ts": ("libx264", {}),
    "video.mpg": ("mpeg2video", {}),
    "video.m2ts": ("mpeg2video", {}),
    "video.gif": ("gif", {}),
}
WITH_LENGTH = ["video.mkv", "video.webm", "video.wmv", "video.flv", "video.avi", "video.ivf"]
GO_ON = ["video.mkv", "video.webm", "video.wmv", "video.flv", "video.avi", "video.ts", "video.m2ts", "video.mpg"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The bytes of each sound file, encoded once."""
    folder = tmp_path_factory.mktemp("sound")

    def read(name):
        path = folder / name
        if not path.exists():
            codec, container = FILES[name]
            # not in real time, where the bytes, and so what a cut hits, depend on how busy the machine is
            options = {"g": str(GROUP), "deadline": "good", "cpu-used": "5"}
            pixels = "rgb8" if codec == "gif" else "yuv420p"
            rng = np.random.default_rng(0)
            pictures = [numbered_frame(number) for number in range(COUNT)]
            for picture in pictures:  # so that no picture takes a few bytes only
                picture[56:] = rng.integers(0, 256, picture[56:].shape)
            write_video(path, pictures, codec, options, container=container, pixels=pixels)
        return path.read_bytes()

    return read


def _numbers(path, decoder="pyav", **more):
    with open_video(path, decoder, **more) as video:
        return read_numbers(video.frames(range(len(video)))), video.warning


@pytest.mark.parametrize("name", FILES)
def test_sound_files_show_no_damage(tmp_path, files, name):
    path = tmp_path / name
    path.write_bytes(files(name))
    assert find_structure(str(path)).damage == ""
    assert _numbers(path) == (list(range(COUNT)), "")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_cut_off(tmp_path, files, name, share):
    path = tmp_path / name
    data = files(name)
    path.write_bytes(data[: int(share * len(data)) // 192 * 192 + 101])  # not between two packets of a stream
    numbers, warning = _numbers(path, min_readable=0)
    assert warning.startswith("is cut off (")
    there = len(np.unique(numbers))
    assert share * COUNT / 2 < there < COUNT
    if name in WITH_LENGTH:
        assert len(numbers) == COUNT
        assert " of 100 wanted frames cannot be decoded" in warning
        for read in (lambda: _numbers(path, min_readable=1), lambda: verify_video(path, min_readable=1)):
            with pytest.raises(VideoError, match=r"is damaged: \d+ of 100 (wanted )?frames cannot be decoded"):
                read()
    else:
        assert "how many frames are missing at its end stands nowhere" in warning
        assert "how many frames are missing at its end stands nowhere" in verify_video(path, 0).warning
    assert numbers[: there - GROUP] == list(range(there - GROUP))


@pytest.mark.parametrize("name", GO_ON)
def test_zeroed_inside(tmp_path, files, name):
    path = tmp_path / name
    data = bytearray(files(name))
    start = int(0.4 * len(data))
    data[start : start + len(data) // 20] = bytes(len(data) // 20)
    path.write_bytes(data)
    numbers, warning = _numbers(path, min_readable=0)
    assert len(numbers) == COUNT
    assert numbers[:30] == list(range(30))
    assert numbers[70:] == list(range(70, COUNT))  # they keep their places
    assert " of 100 wanted frames cannot be decoded, the first is frame " in warning
    lost = verify_video(path, 0).lost
    assert 3 <= len(lost) <= 20
    assert all(30 <= number < 70 for number in lost)
    with pytest.raises(VideoError, match=f"is damaged: {len(lost)} of 100 frames cannot be decoded"):
        verify_video(path, min_readable=1)
    assert _numbers(path, "pyav", min_readable=0) == (numbers, warning)


@pytest.mark.parametrize("damage", ["zeroed", "cut off"])
def test_frames_that_a_camera_left_out_are_not_lost(tmp_path, damage):
    """Every seventh is missing in the time stamps, and no damage is there: only what is near damage counts."""
    times = [(number + number // 7) / 25 for number in range(60)]
    rng = np.random.default_rng(0)
    pictures = [numbered_frame(number) for number in range(60)]
    for picture in pictures:
        picture[56:] = rng.integers(0, 256, picture[56:].shape)
    path = write_video(tmp_path / "drop.mkv", pictures, "libx264", {"g": "10"}, times=times)
    assert _numbers(path) == (list(range(60)), "")
    data = bytearray(path.read_bytes())
    if damage == "cut off":
        path.write_bytes(data[: len(data) * 6 // 10])
        numbers, _ = _numbers(path, min_readable=0)
        assert numbers[:30] == list(range(30))
        assert 59 <= len(numbers) <= 61  # at the end nothing says where they would have been
    else:
        start = len(data) * 55 // 100
        data[start : start + 40] = bytes(40)
        path.write_bytes(data)
        numbers, _ = _numbers(path, min_readable=0)
        assert numbers[:30] == list(range(30))
        assert all(
            number == place for place, number in enumerate(numbers[:36]) if place not in verify_video(path, 0).lost
        )


@pytest.mark.parametrize("has_index", [True, False])
def test_an_avi_file_whose_index_is_gone_too(tmp_path, files, has_index):
    path = tmp_path / "video.avi"
    data = bytearray(files("video.avi"))
    if not has_index:
        data = data.replace(b"idx1", b"JUNK")
    chunks = [place for place in range(data.find(b"movi"), len(data)) if data[place : place + 4] == b"00dc"]
    data[chunks[40] : chunks[46]] = bytes(chunks[46] - chunks[40])
    path.write_bytes(data)
    numbers, _ = _numbers(path, min_readable=0)
    assert numbers[:40] == list(range(40))
    assert numbers[50:] == list(range(50, COUNT))
    assert verify_video(path, 0).lost == tuple(range(40, 46))


def test_the_end_is_zeroed(tmp_path, files):
    """A download that was given its whole length in advance."""
    for name in ("video.mkv", "video.wmv", "video.avi", "video.flv"):
        path = tmp_path / name
        data = files(name)
        half = len(data) // 2
        path.write_bytes(data[:half] + bytes(len(data) - half))
        numbers, warning = _numbers(path, min_readable=0)
        assert len(numbers) == COUNT, name
        assert "wanted frames cannot be decoded, the first is frame " in warning


def test_a_recording_of_unknown_length(tmp_path, files):
    """What a browser writes: neither the segment nor its clusters say how long they are."""
    data = files("video.webm")
    segment = data.find(b"\x18\x53\x80\x67") + 4
    data = data[:segment] + b"\x01" + b"\xff" * 7 + data[segment + 8 :]
    duration = data.find(b"\x44\x89\x88")  # turned into filling, as is the duration of the stream
    data = data[:duration] + b"\xec\x89" + data[duration + 2 :].replace(b"DURATION", b"DURATIO_")
    path = tmp_path / "live.webm"
    path.write_bytes(data)
    assert _numbers(path) == (list(range(COUNT)), "")
    path.write_bytes(data[: len(data) // 2])
    numbers, warning = _numbers(path)
    assert numbers == list(range(len(numbers)))
    assert "is cut off (it ends inside of one of its parts; how many frames" in warning


def test_garbage_behind_the_end_is_no_damage(tmp_path, files):
    for name in ("video.mkv", "video.avi", "video.wmv"):
        path = tmp_path / name
        path.write_bytes(files(name) + b"SEFHe\x00\x00\x00" * 9)
        assert _numbers(path) == (list(range(COUNT)), "")


def test_ogg_pages():
    def page(number, *, flags=0, body=b"x" * 300):
        head = b"OggS\0" + bytes([flags]) + bytes(8) + b"abcd" + number.to_bytes(4, "little") + bytes(4)
        return head + bytes([2, 255, len(body) - 255]) + body

    pages = [page(0, flags=2), page(1), page(2), page(3, flags=4)]
    walk = WALKS["ogg"]
    assert walk(b"".join(pages)).damage == ""
    assert walk(b"".join(pages)[:-10]).cut.startswith("its last page reaches to byte ")
    assert walk(b"".join(pages[:3])).cut == "its last page is not marked as the last one"
    assert walk(pages[0] + pages[2] + pages[3]).breaks == (len(pages[0]),)
    assert walk(pages[0] + bytes(len(pages[1])) + pages[2] + pages[3]).breaks == (len(pages[0]), 2 * len(pages[0]))


def test_frames_that_came_before_the_loss_was_known_are_numbered_anew(tmp_path) -> None:
    """A chunk without its name vanishes; that one is missing shows at the end alone, when the others were read."""
    path = write_numbered(tmp_path, count=40)
    data = bytearray(path.read_bytes())
    chunks = [at for at in range(data.find(b"movi"), data.find(b"idx1")) if data[at : at + 4] == b"00dc"]
    data[chunks[12]] = 176
    for place in (chunks[36] + 28, chunks[36] + 77, chunks[38] + 16, data.find(b"idx1") + 574):
        data[place] ^= 0xF0
    path.write_bytes(data)
    with open_video(path, "pyav") as video:
        frames = video.frames(range(len(video)))
        again = open_video(path, "pyav").frames(range(len(video)))
    assert np.array_equal(frames, again) and "the first is frame 12 of 40" in video.warning
    shown = read_numbers(frames)
    assert list(shown[:12]) == [*range(12)] and list(shown[24:36]) == [*range(24, 36)]  # behind the next key frame
