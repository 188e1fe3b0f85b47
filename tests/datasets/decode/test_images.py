"""Images as a viewer shows them, whatever they are stored as."""

import numpy as np
import pytest
from PIL import Image
from synthetic_videos import numbered_frame, read_numbers

from specvid.datasets.decode import open_video
from specvid.datasets.decode.frame_folder import describe_gaps
from specvid.datasets.decode.images import read_frame
from specvid.datasets.decode.verify import verify_video
from specvid.errors import VideoError

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)

SHOWN = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}
"""EXIF orientation -> what is to be done to the stored picture (EXIF 2.32, 4.6.4 A)."""


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_turned_as_exif_says(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PICTURE).save(tmp_path / name, exif=exif, **({"lossless": True} if name == "a.webp" else {}))
    stored = np.asarray(Image.open(tmp_path / name).convert("RGB"))
    if name == "a.tif":  # Pillow turns these itself while it loads them
        stored = PICTURE
    frame = read_frame(tmp_path / name)
    assert frame.flags["C_CONTIGUOUS"] and frame.dtype == np.uint8
    assert (frame == SHOWN[orientation](stored)).all()


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, name):
    deep = np.array([[0, 128, 257, 32768, 65535]], np.uint16).repeat(3, 0)
    Image.fromarray(deep).save(tmp_path / name)
    assert read_frame(tmp_path / name)[0].tolist() == [[0] * 3, [0] * 3, [1] * 3, [128] * 3, [255] * 3]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_unknown_range_are_refused(tmp_path, mode):
    Image.new(mode, (4, 4), 70000).save(tmp_path / "a.tif")
    with pytest.raises(VideoError, match="32-bit numbers of unknown range: save it with 8 or 16 bits"):
        read_frame(tmp_path / "a.tif")


def test_transparent_parts_are_black(tmp_path):
    colours = np.full((2, 4, 4), 200, np.uint8)
    colours[:, :, 3] = [0, 51, 255, 255]
    picture = Image.fromarray(colours)
    wanted = [[0] * 3, [40] * 3, [200] * 3, [200] * 3]
    picture.save(tmp_path / "rgba.png")
    assert read_frame(tmp_path / "rgba.png")[0].tolist() == wanted
    picture.convert("LA").save(tmp_path / "la.png")
    assert read_frame(tmp_path / "la.png")[0].tolist() == wanted
    picture.save(tmp_path / "rgba.webp", lossless=True)
    assert read_frame(tmp_path / "rgba.webp")[0].tolist() == wanted
    Image.fromarray(colours[..., :3]).save(tmp_path / "key.png", transparency=(200, 200, 200))
    assert read_frame(tmp_path / "key.png")[0].tolist() == [[0] * 3] * 4
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "palette.png", transparency=1)
    assert read_frame(tmp_path / "palette.png")[0].tolist() == [[10, 20, 30], [0, 0, 0]]


@pytest.mark.parametrize(("name", "mode"), [("a.bmp", "RGB"), ("a.tiff", "CMYK"), ("a.png", "1"), ("a.jpg", "L")])
def test_other_kinds(tmp_path, name, mode):
    Image.fromarray(PICTURE).convert(mode).save(tmp_path / name)
    assert (read_frame(tmp_path / name) == np.asarray(Image.open(tmp_path / name).convert("RGB"))).all()


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.bmp"])
def test_damaged_images_are_named(tmp_path, name, share):
    path = tmp_path / name
    Image.fromarray(PICTURE).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(VideoError) as caught:
        read_frame(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def _folder(path, count=40, first=1):
    path.mkdir()
    for number in range(count):
        Image.fromarray(numbered_frame(number)).save(path / f"img_{number + first:05d}.png")
    return path


def test_no_image_has_a_program_run(tmp_path, monkeypatch):
    """PostScript under the name of a photograph: Pillow has Ghostscript run, whatever is found under that name."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    with pytest.raises(VideoError, match="this is no image file that can be read"):
        read_frame(tmp_path / "a.jpg")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("first", [0, 1, 9990])
def test_a_folder_of_images_is_a_video(tmp_path, first):
    folder = _folder(tmp_path / "00001", first=first)
    (folder / "notes.txt").touch()
    (folder / "._img_00003.png").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")  # AppleDouble
    (folder / ".ipynb_checkpoints").mkdir()
    with open_video(folder) as video:
        assert (len(video), video.fps, video.warning) == (40, 25.0, "")
        assert read_numbers(video.frames([39, 0, 7])) == [39, 0, 7]
        assert read_numbers(np.stack(list(video.stream(np.arange(5, 9))))) == [5, 6, 7, 8]
    assert verify_video(folder).frames == 40


def test_images_of_a_folder_that_cannot_be_read(tmp_path):
    folder = _folder(tmp_path / "frames")
    for number in (5, 6):
        (folder / f"img_{number:05d}.png").write_bytes(b"no image")
    with open_video(folder) as video:
        assert read_numbers(video.frames(range(40))) == [0, 1, 2, 3, 3, 6, *range(6, 40)]
        assert video.warning == (
            "2 of 40 wanted frames cannot be decoded, the first is frame 4 of 40: the nearest ones stand in "
            "(img_00005.png: this is no image file that can be read)"
        )
        with pytest.raises(
            VideoError, match=r"1 of 3 wanted frames .* frame 4 of 40 \(img_00005.png: this is no image"
        ):
            video.frames([3, 4, 9])
    assert "frame 4 of 40" in verify_video(folder).warning


def test_images_of_several_sizes(tmp_path):
    folder = _folder(tmp_path / "frames", 4)
    Image.fromarray(numbered_frame(2).repeat(2, 0).repeat(2, 1)).save(folder / "img_00003.png")
    with open_video(folder) as video:
        assert read_numbers(video.frames(range(4))) == [0, 1, 2, 3]
        assert video.warning == "its images have 2 sizes: brought to 96 x 64 px"


@pytest.mark.parametrize(
    ("numbers", "warning"),
    [
        (range(10, 30), ""),
        (range(0, 100, 5), ""),
        ([1, 2, 5], "the numbers of its images have 1 gap, 2 are missing: img_00002.jpg is followed by img_00005.jpg"),
        (
            [0, 5, 10, 25, 30, 40],
            "the numbers of its images have 2 gaps, 3 are missing: img_00010.jpg is followed by img_00025.jpg",
        ),
        ([16123, 16190, 16222, 16300], ""),  # times
        ([7], ""),
    ],
)
def test_gaps_in_the_numbers_of_frames_are_said(numbers, warning):
    assert describe_gaps([f"img_{number:05d}.jpg" for number in numbers]) == warning
    assert describe_gaps([f"other {number}.png" for number in range(3)] + ["cover.png"]) == ""
