"""Files that are no sound videos: one clear line each, never a hang, never a frame that stands for another."""

import multiprocessing
import pickle

import numpy as np
import pytest
from decoders import DECODERS
from read_damaged import read_all
from synthetic_videos import blank_frames, lose_frames, read_numbers, spoil_frames, write_numbered, write_sound

from specvid.datasets.decode import list_decoders, open_video, probe
from specvid.datasets.decode.probe import _avi_header, _ffmpeg_header
from specvid.datasets.decode.verify import Verified, verify_video
from specvid.errors import VideoError


def _fail(path, decoder="pyav", indices=None):
    """The one line with which reading ``path`` fails."""
    with pytest.raises(VideoError) as caught, open_video(path, decoder) as video:
        video.frames(range(len(video)) if indices is None else indices)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert caught.value.path == str(path)
    return caught.value.reason


@pytest.mark.parametrize("decoder", DECODERS)
def test_not_a_file_at_all(tmp_path, decoder):
    assert _fail(tmp_path / "nothing.avi", decoder) == "no such file"
    assert "is a folder without images in it" in _fail(tmp_path, decoder)
    (tmp_path / "empty.avi").touch()
    assert _fail(tmp_path / "empty.avi", decoder) == "is empty (0 bytes)"


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", ["text.avi", "text.mp4", "text.txt"])
def test_no_video(tmp_path, decoder, name):
    (tmp_path / name).write_text("This is a text, and a long one. " * 500)
    assert "is not a" in _fail(tmp_path / name, decoder)


def test_a_picture_is_no_video(tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 48)).save(tmp_path / "picture.png")
    assert "is not a video (FFmpeg takes it for" in _fail(tmp_path / "picture.png")


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", ["sound.avi", "sound.mkv", "sound.wav"])
def test_sound_only(tmp_path, decoder, name):
    assert _fail(write_sound(tmp_path / name), decoder) == "has no video stream (it holds: audio)"


def _cut(path, share):
    """Leave a share of the frames of an AVI file, of the bytes of another one."""
    data = path.read_bytes()
    end = int(share * len(data))
    if path.suffix == ".avi":
        end = data.find(b"movi")
        for _ in range(int(share * 100)):
            end = data.find(b"00dc", end)
            end += 8 + int.from_bytes(data[end + 4 : end + 8], "little")
    path.write_bytes(data[:end])


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("kind", ["plain.avi", "b_frames.avi", "b_frames.mp4", "closed.mp4"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.85])
def test_cut_off(tmp_path, decoder, kind, share):
    path = write_numbered(tmp_path, kind)
    _cut(path, share)
    reason = _fail(path, decoder)
    assert "wanted frames cannot be decoded" in reason or "not a readable video" in reason or "no frame" in reason


@pytest.mark.parametrize("decoder", DECODERS)
def test_what_is_left_of_a_file_that_was_cut_off(tmp_path, decoder):
    path = write_numbered(tmp_path)
    _cut(path, 0.5)
    with open_video(path, decoder) as video:
        assert len(video) == 100
        assert read_numbers(video.frames(range(0, 40, 5))) == list(range(0, 40, 5))
        assert video.warning.startswith("is cut off (its header announces ")
    with pytest.raises(
        VideoError, match=r"is damaged: 3 of 8 wanted frames cannot be decoded, the first is frame 50 of"
    ):
        open_video(path, decoder).frames(range(0, 80, 10))


def test_no_file_is_missing_more_than_was_taken(tmp_path):
    """An AVI file with 95 % of its frames: clips are what is there, and the frames that stand in are reported."""
    path = write_numbered(tmp_path)
    _cut(path, 0.95)
    with open_video(path) as video:
        assert read_numbers(video.frames(range(100))) == [min(number, 94) for number in range(100)]
        assert "5 of 100 wanted frames cannot be decoded, the first is frame 95 of 100" in video.warning


@pytest.mark.parametrize("decoder", DECODERS)
def test_frames_that_do_not_decode(tmp_path, decoder):
    path = blank_frames(write_numbered(tmp_path), range(70, 75))
    reason = _fail(path, decoder, [3, 72])
    assert reason.startswith(
        "is damaged: 1 of 2 wanted frames cannot be decoded, the first is frame 72 of 100 (mpeg4: "
    )
    with open_video(path, decoder) as video:
        assert read_numbers(video.frames([3, 69])) == [3, 69]


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("indices", [[59], [10, 40], [57, 59], list(range(0, 60, 7)), list(range(60))])
def test_an_announced_frame_that_is_not_there_is_none(tmp_path, decoder, indices):
    path = lose_frames(write_numbered(tmp_path), range(60, 100))
    with open_video(path, decoder) as video:
        assert len(video) == 60
        assert read_numbers(video.frames(indices)) == indices
        assert video.warning == "its header announces 100 frames, 60 decode"


def test_a_failed_read_does_not_spoil_the_next(tmp_path):
    path = blank_frames(write_numbered(tmp_path), range(70, 75))
    with open_video(path) as video:
        for _ in range(2):
            with pytest.raises(VideoError):
                video.frames([72])
            assert read_numbers(video.frames([5, 20])) == [5, 20]


@pytest.mark.parametrize("decoder", DECODERS)
def test_indices_that_are_none(tmp_path, decoder):
    with open_video(write_numbered(tmp_path, count=20), decoder) as video:
        for wrong in ([20], [-1], [3, 99]):
            with pytest.raises(ValueError, match="does not exist: it has frames 0 to 19"):
                video.frames(wrong)
        for wrong in ([], [[1, 2]], [0.5]):
            with pytest.raises(ValueError, match="non-empty flat list of integers"):
                video.frames(wrong)


def test_decoders_by_name(tmp_path):
    path = write_numbered(tmp_path, count=5)
    with pytest.raises(ValueError, match="Did you mean 'pyav'") as caught:
        open_video(path, "pyva")
    assert not isinstance(caught.value, VideoError)  # not the file's fault
    assert list_decoders()[0] == "pyav"


def test_torchcodec_absent(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchcodec.decoders", None)
    with pytest.raises(ValueError, match="pip install torchcodec"):
        open_video(write_numbered(tmp_path, count=5), "torchcodec")


def test_error_survives_pickling():
    error = pickle.loads(pickle.dumps(VideoError("a/b.avi", "is\ncut off")))
    assert str(error) == "a/b.avi: is cut off"
    assert isinstance(error, ValueError)


@pytest.mark.parametrize("codec", ["XVID", "FMP4"])
def test_avi_header_by_hand_is_ffmpegs(tmp_path, codec):
    path = write_numbered(tmp_path, count=30)
    path.write_bytes(path.read_bytes().replace(b"FMP4", codec.encode()))
    size = path.stat().st_size
    assert _avi_header(str(path), size) == _ffmpeg_header(str(path), size) == probe(str(path))
    assert probe(str(path)).frames == 30


def test_verify(tmp_path):
    path = write_numbered(tmp_path)
    assert verify_video(path) == Verified(100, "")
    whole = path.read_bytes()
    for spoil, frames, warning in (
        (lambda: lose_frames(path, range(60, 100)), 60, "its header announces 100 frames, 60 decode"),
        (lambda: blank_frames(path, range(30, 34)), 100, "4 of 100 frames cannot be decoded, the first is frame 30"),
        (lambda: path.write_bytes(whole[:-200]), 100, "is cut off"),
        (lambda: spoil_frames(path, [24, 36, 60]), 100, "of 100 frames contain errors"),
    ):
        path.write_bytes(whole)
        spoil()
        assert verify_video(path).frames == frames
        assert warning in verify_video(path).warning
    path.write_bytes(whole)
    blank_frames(path, range(30, 42))
    with pytest.raises(VideoError, match="is damaged: 12 of 100 frames cannot be decoded, the first is frame 30"):
        verify_video(path)
    assert verify_video(path, min_readable=0.8).frames == 100


def test_damage_at_random_neither_hangs_nor_repeats(tmp_path):
    """Sixty damaged files in a process with a time limit: each gives one line of error, or frames all its own."""
    kinds = {
        kind: write_numbered(tmp_path, kind, 300).read_bytes() for kind in ("plain.avi", "b_frames.avi", "closed.mp4")
    }
    rng = np.random.default_rng(0)
    paths = []
    for number in range(60):
        kind = list(kinds)[number % 3]
        paths.append(tmp_path / f"{number}_{kind}")
        paths[-1].write_bytes(_damage(kinds[kind], rng))
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=read_all, args=(paths, results))
    process.start()
    try:
        outcomes = [results.get(timeout=60) for _ in paths]
    finally:
        process.kill()
        process.join()
    assert all(outcome == "" for outcome in outcomes), [outcome for outcome in outcomes if outcome]


def _damage(data, rng):
    data = bytearray(data)
    start, stop = sorted(rng.integers(0, len(data), 2).tolist())
    match rng.integers(4):
        case 0:
            return bytes(data[: max(1, stop)])
        case 1:
            data[start:stop] = bytes(stop - start)
        case 2:
            del data[start:stop]
        case 3:
            for place in rng.integers(3000, len(data), 12):
                data[place] ^= 1 << int(rng.integers(8))
    return bytes(data) or b"0"
