"""Frames that come out of a decoder smaller than they are stored: which size, and the means of the pixels inside."""

import cv2
import numpy as np
import pytest
from decoders import DECODERS
from PIL import Image
from shared_data import shared
from synthetic_videos import HEIGHT, WIDTH, blank_frames, numbered_frame, read_numbers, set_display_matrix, write_video

from specvid.datasets.clips.motion import open_clips
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import test_transform as views_of
from specvid.datasets.clips.transforms import train_transform
from specvid.datasets.decode import open_video

WANTED = [0, 3, 17, 39]


def _large(number):
    return numbered_frame(number).repeat(6, axis=0).repeat(6, axis=1)  # 576 x 384 px


@pytest.fixture
def film(tmp_path):
    return write_video(tmp_path / "film.mp4", map(_large, range(40)), "libx264", options={"g": "12"})


def _numbers(frames):
    """The numbers in frames that were reduced to 96 px."""
    return read_numbers(np.stack([cv2.resize(frame, (WIDTH, HEIGHT)) for frame in frames]))


def _means(frames, size):
    return np.stack([cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA) for frame in frames])


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize(("resize", "size"), [(128, (128, 192)), (100, (100, 150)), ((90, 200), (90, 200))])
def test_the_size_and_the_means(film, decoder, resize, size):
    with open_video(film) as video:
        full = video.frames(WANTED)
    with open_video(film, decoder, resize=resize) as video:
        assert video.size == size
        frames = video.frames(WANTED)
        streamed = np.stack(list(video.stream(np.array(WANTED))))
    assert frames.shape == (4, *size, 3) and (streamed == frames).all()
    assert np.abs(frames.astype(int) - _means(full, size)).mean() < 1.5


def test_real_clips_are_antialiased():
    path = sorted(shared("data/ucf101-raw/videos").rglob("*.avi"))[0]
    with open_video(path) as video:
        full = video.frames(range(0, 48, 8))
    with open_video(path, resize=64) as video:
        frames = video.frames(range(0, 48, 8)).astype(int)
    means = _means(full, frames.shape[1:3])
    points = np.stack([cv2.resize(frame, means.shape[2:0:-1], interpolation=cv2.INTER_LINEAR) for frame in full])
    assert np.abs(frames - means).mean() < 1.5 < np.abs(frames - points).mean()


@pytest.mark.parametrize("resize", [384, 385, 2000, (384, 576), (500, 90)])
def test_nothing_is_enlarged(film, resize):
    with open_video(film) as video, open_video(film, resize=resize) as other:
        assert other.size == video.size == (384, 576)
        assert (other.frames(WANTED) == video.frames(WANTED)).all()


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (0, -1, -1, 0), (-1, 0, 0, 1)])
@pytest.mark.parametrize("resize", [96, (60, 150)])
def test_the_size_is_that_of_the_picture_as_it_is_shown(film, matrix, resize):
    set_display_matrix(film, *matrix)
    with open_video(film) as video:
        full = video.frames(WANTED)
    with open_video(film, resize=resize) as video:
        frames = video.frames(WANTED)
        assert frames.shape[1:3] == video.size == ((144, 96) if resize == 96 and not matrix[0] else video.size)
    assert resize == 96 or video.size == resize
    assert np.abs(frames.astype(int) - _means(full, video.size)).mean() < 1.5


def test_the_same_frames_whether_it_jumps_reads_on_or_lost_some(film, tmp_path):
    with open_video(film, resize=192) as video:
        every = video.frames(range(40))
        assert [video.frames([number]).tolist() for number in (37, 2, 25)] == every[[37, 2, 25], None].tolist()
    damaged = blank_frames(write_video(tmp_path / "film.avi", map(_large, range(40)), options={"g": "12"}), [20])
    with open_video(damaged, resize=192) as video:
        frames = video.frames(range(15, 25))
        assert frames.shape == (10, 192, 288, 3) and "1 of 10 wanted frames cannot be decoded" in video.stand_ins


def test_folders_of_images(tmp_path):
    for number, size in enumerate([(576, 384), (576, 384), (288, 192), (60, 40)]):
        picture = Image.fromarray(_large(number)).resize(size)
        picture.save(tmp_path / f"{number:03d}.png")
    with open_video(tmp_path) as video:
        first = next(video.stream(np.arange(1)))
    with open_video(tmp_path, resize=96) as video:
        frames = list(video.stream(np.arange(4)))
    assert [frame.shape[:2] for frame in frames] == [(96, 144)] * 3 + [(40, 60)]  # the last one is smaller already
    assert (frames[0] == _means([first], (96, 144))[0]).all()


def test_clips_are_cut_out_of_what_the_decoder_gives(film):
    spec = ClipSpec(4, 2, 64, 96, interpolation="area")
    with open_clips(film, spec) as video:
        frames = video.frames(np.arange(0, 8, 2))
    assert frames.shape[1:3] == (96, 144) and _numbers(frames) == [0, 2, 4, 6]
    view = views_of(spec)(frames)[0].permute(1, 2, 3, 0) * 255
    assert np.allclose(view.numpy(), frames[:, 16:80, 40:104], atol=1e-3)  # nothing is resized again
    clip = train_transform(spec, flip=0, normalised=False)(frames, np.random.default_rng(0)).numpy()
    places = [(y, x) for y in range(33) for x in range(81) if (frames[:, y : y + 64, x : x + 64] == clip).all()]
    assert places
    with open_clips(film, ClipSpec(4, 2, 64, 96)) as video:
        assert video.size == (384, 576)


def test_arrays_are_resized_the_same_way(film):
    spec = ClipSpec(4, 1, 64, 96, interpolation="area")
    with open_video(film) as video:
        full = video.frames(range(4))
    means = _means(full, (96, 144))[:, 16:80, 40:104]
    assert np.allclose(views_of(spec)(full)[0].permute(1, 2, 3, 0) * 255, means, atol=1e-3)
    small = full[:, :48, :72]
    assert np.allclose(views_of(spec)(small), views_of(ClipSpec(4, 1, 64, 96))(small))  # enlarged: bilinear


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"interpolation 'cubic' is unknown"):
        ClipSpec(4, 2, 64, 96, interpolation="cubic")
    with pytest.raises(
        ValueError, match=r"interpolation 'area' resizes frames before flow .* --interpolation bilinear"
    ):
        ClipSpec(4, 2, 64, 96, (0.5, 0.5), (0.5, 0.5), modality="flow", interpolation="area")


@pytest.mark.parametrize("resize", [0, -1, (0, 5), (20,), (1, 2, 3), 2.5, True, "32", (20, 5.0)])
def test_sizes_that_are_none(film, resize):
    with pytest.raises(ValueError, match=r"resize = .*: expected one or two whole numbers of pixels"):
        open_video(film, resize=resize)


def test_sizes_of_other_kinds(film):
    with open_video(film, resize=[20, 50]) as video, open_video(film, resize=np.int64(96)) as other:
        assert video.size == (20, 50) and other.size == (96, 144) and type(other.size[0]) is int


def test_colours_keep_the_width_of_the_picture(tmp_path):
    """Of a film with colours at half its size, reduced to that size, none is lost."""
    stripes = np.zeros((64, 96, 3), np.uint8)
    stripes[:, ::2] = (255, 0, 0)
    stripes[:, 1::2] = (0, 0, 255)
    film = write_video(tmp_path / "film.mp4", [stripes.repeat(2, 0).repeat(2, 1)] * 4, "libx264", options={"crf": "1"})
    with open_video(film, resize=64) as video:
        frame = video.frames([1])[0].astype(int)
    assert frame[:, ::2, 0].mean() > frame[:, 1::2, 0].mean() + 100  # as red, at half the width, both are the mean
