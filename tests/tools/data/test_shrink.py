"""`data shrink`: the same set, smaller; restartable; what cannot be read is copied and named."""

import json
from fractions import Fraction

import numpy as np
import pytest

from specvid import cli
from specvid.datasets.decode import open_video
from specvid.datasets.layouts.registry import read_action
from specvid.datasets.synthetic import SYNTHESIZERS, write_video
from specvid.tools.data import shrink as module
from specvid.tools.data.shrink import ShrinkConfig, reencode, shrink


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("set") / "folders"
    SYNTHESIZERS["folders"](root, scenes=4)
    return root


def content(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_copy_is_read_like_the_set(folders, tmp_path):
    (folders / "._AppleDouble.mp4").write_bytes(b"x")
    report = shrink(folders, tmp_path / "copy", ShrinkConfig(short_side=20, gop=4), workers=1)
    assert report.videos == 16 and not report.problems and report.speed_up > 0
    one, two = (read_action("folders", root) for root in (folders, tmp_path / "copy"))
    assert [record.name for record in one.records] == [record.name for record in two.records]
    for before, after in zip(one.records[::5], two.records[::5], strict=True):
        with open_video(before.path) as video, open_video(after.path) as copy:
            assert len(video) == len(copy) and video.fps == copy.fps and copy.size == (20, 20)
            assert np.abs(video.frames([3]).mean() - copy.frames([3]).mean()) < 4
    again = content(tmp_path / "copy")
    shrink(folders, tmp_path / "copy", ShrinkConfig(short_side=20, gop=4), workers=1)
    changed = {path for path, time in content(tmp_path / "copy").items() if again[path] != time}
    assert changed == {module.Path(module.SETTINGS)}


def test_it_goes_on_where_it_was_killed(folders, tmp_path):
    shrink(folders, tmp_path / "copy", ShrinkConfig(short_side=20), workers=1)
    lost = sorted((tmp_path / "copy").rglob("*.mp4"))[3]
    lost.rename(lost.with_name(f".{lost.stem}.writing.mp4"))  # as a kill leaves it
    report = shrink(folders, tmp_path / "copy", ShrinkConfig(short_side=20), workers=1)
    assert lost.is_file() and report.videos == 16
    assert not list((tmp_path / "copy").rglob(".*"))


def test_a_file_that_cannot_be_read_is_copied_and_named(tmp_path, capsys):
    (tmp_path / "set" / "a").mkdir(parents=True)
    write_video(tmp_path / "set" / "a" / "good.mp4", np.zeros((12, 32, 48, 3), np.uint8))
    (tmp_path / "set" / "a" / "bad.mp4").write_bytes(b"no video")
    (tmp_path / "set" / "list.csv").write_text("path,label\n")
    words = ["data", "shrink", str(tmp_path / "set"), str(tmp_path / "copy"), "--workers", "1"]
    assert cli.run(words) == 1
    printed = capsys.readouterr().out
    assert "1 video re-encoded (now or before)" in printed and "copied as it is" in printed and "bad.mp4" in printed
    assert (tmp_path / "copy" / "a" / "bad.mp4").read_bytes() == b"no video"
    assert (tmp_path / "copy" / "list.csv").is_file()
    assert cli.run(words) == 1 and "bad.mp4" in capsys.readouterr().out  # again, for whoever did not see it


def test_links_to_folders_are_followed(tmp_path):
    """A class of its own that lies elsewhere, one that is another, and a link into what it lies in."""
    for folder in ("elsewhere", "set/a"):
        (tmp_path / folder).mkdir(parents=True)
    write_video(tmp_path / "elsewhere" / "1.mp4", np.zeros((12, 32, 48, 3), np.uint8))
    write_video(tmp_path / "set" / "a" / "1.mp4", np.zeros((12, 32, 48, 3), np.uint8))
    (tmp_path / "set" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "c").symlink_to("a")
    (tmp_path / "set" / "a" / "up").symlink_to(tmp_path / "set")
    report = shrink(tmp_path / "set", tmp_path / "copy", workers=1)
    assert not report.problems and report.videos == 3
    one, two = (read_action("folders", tmp_path / name) for name in ("set", "copy"))
    assert [r.name for r in one.records] == [r.name for r in two.records] == ["a/1.mp4", "b/1.mp4", "c/1.mp4"]
    with pytest.raises(ValueError, match="lie in each other"):
        shrink(tmp_path / "set", tmp_path / "elsewhere" / "copy", workers=1)


def test_links_to_nothing_are_named(tmp_path):
    for name in ("gone.avi", "gone.txt"):
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / name).symlink_to(tmp_path / "nothing")
    report = shrink(tmp_path / "set", tmp_path / "out", workers=1)
    assert sorted(report.problems.values()) == [f"{tmp_path}/set/gone.{kind}: no such file" for kind in ("avi", "txt")]
    assert report.others == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["shrink.json"]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_times_of_a_variable_rate_are_kept(tmp_path, suffix):
    import av

    with av.open(str(tmp_path / "vfr.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 * number, np.uint8), format="rgb24")
            frame.pts = 33 * number if number < 10 else 330 + 500 * (number - 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with open_video(tmp_path / "vfr.mkv") as video:
        times = video.times
    assert times is not None
    reencode(str(tmp_path / "vfr.mkv"), str(tmp_path / f"copy{suffix}"), ShrinkConfig(short_side=32))
    with open_video(tmp_path / f"copy{suffix}") as copy:
        np.testing.assert_allclose(np.subtract(copy.times, copy.times[0]), times, atol=2e-3)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    frames = np.arange(20, dtype=np.uint8)[:, None, None, None] * 10 + np.zeros((20, 64, 96, 3), np.uint8)
    return write_video(tmp_path_factory.mktemp("film") / "film.mkv", frames, 25, codec="mpeg4")


SUFFIXES = (
    ".3gp .avi .f4v .flv .gif .h264 .ivf .m1v .m2v .m4v .mjpeg .mkv .mov .mp4 .mpg .mts .mxf .nut .ogv .ts .vob "
    ".webm .wmv .y4m"
)


@pytest.mark.parametrize("suffix", SUFFIXES.split())
def test_every_container(film, tmp_path, suffix):
    reencode(str(film), str(tmp_path / f"small{suffix}"), ShrinkConfig(short_side=32))
    with open_video(tmp_path / f"small{suffix}") as copy:
        assert len(copy) == 20 and copy.size == (32, 48) and copy.fps == pytest.approx(25, rel=0.01)
        assert np.allclose(copy.frames(range(20)).mean((1, 2, 3)), np.arange(20) * 10, atol=4)


@pytest.mark.parametrize(
    ("out", "message"),
    [("set/copy", "lie in each other"), ("other", "was made with other settings"), ("full", "is not empty")],
)
def test_a_wrong_place(tmp_path, out, message):
    (tmp_path / "set").mkdir()
    for name, file in (("other", "shrink.json"), ("full", "x")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(json.dumps({"short_side": 10}))
    with pytest.raises(ValueError, match=message):
        shrink(tmp_path / "set", tmp_path / out)
    with pytest.raises(ValueError, match="is not a folder"):
        shrink(tmp_path / "nowhere", tmp_path / "copy")
    for wrong in ({"short_side": 15}, {"short_side": 17}, {"gop": 0}):
        with pytest.raises(ValueError, match="must be"):
            ShrinkConfig(**wrong)


def test_a_set_that_grew_is_told(tmp_path, capsys):
    """Of a picture that stands still, one frame is stored; where each frame can be jumped to, all are."""
    still = np.random.default_rng(0).integers(0, 255, (1, 48, 64, 3), np.uint8)
    (tmp_path / "set" / "a").mkdir(parents=True)
    write_video(tmp_path / "set" / "a" / "still.mp4", still.repeat(60, axis=0))
    for gop, side, grew in (("1", "48", True), ("60", "16", False)):
        words = ["data", "shrink", str(tmp_path / "set"), str(tmp_path / side), "--short-side", side, "--gop", gop]
        assert cli.run([*words, "--workers", "1"]) == 0
        assert ("warning: it is larger than before" in capsys.readouterr().out) == grew
