"""Folders of images of optical flow, as TSN, mmaction2 and others write them, and beside frames."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from specvid.datasets.clips.motion import open_clips
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.decode import open_video
from specvid.datasets.decode.flow_folder import FlowFolder
from specvid.datasets.decode.verify import verify_video
from specvid.datasets.layouts.registry import read_action
from specvid.errors import VideoError
from specvid.pipelines.embed.inputs import find_inputs
from specvid.tools.data.check import check

SPEC = ClipSpec(4, 1, 32, 40, mean=(0.5, 0.5), std=(0.5, 0.5), modality="flow")
NAMES = {
    "TSN": "flow_{}_{:05d}.png",
    "letters": "{}_{:05d}.png",
    "folders": "{}/{:05d}.png",
    "frames": "{}/frame{:06d}.png",
}


def picture(number: int, axis: int, size: tuple[int, int] = (30, 40)) -> np.ndarray:
    return np.full(size, 10 * number + axis, np.uint8)


def write_flow(folder: Path, kind: str, axes: str = "xy", count: int = 11) -> Path:
    """Byte 10 x number + axis, numbers from 1."""
    for number in range(1, count + 1):
        for place, axis in enumerate(axes):
            path = folder / NAMES[kind].format(axis, number)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(number, place)).save(path)
    return folder


@pytest.mark.parametrize("axes", ["xy", "uv"])
@pytest.mark.parametrize("kind", NAMES)
def test_every_layout(kind: str, axes: str, tmp_path: Path) -> None:
    folder = write_flow(tmp_path / "clip", kind, axes)
    with open_clips(folder, SPEC) as video:
        assert isinstance(video, FlowFolder) and len(video) == 11 and video.fps == 25
        frames = video.frames([9, 0, 10])
        assert frames.shape == (3, 30, 40, 2) and frames[:, 0, 0].tolist() == [[100, 101], [10, 11], [110, 111]]
        streamed = np.stack(list(video.stream(np.array([0, 9, 10]))))
        assert np.array_equal(streamed, frames[[1, 0, 2]]) and not video.warning


def test_frames_beside_flow(tmp_path: Path) -> None:
    """As mmaction2 writes raw frames: each network takes what it sees."""
    folder = write_flow(tmp_path / "clip", "TSN")
    for number in range(1, 13):
        Image.fromarray(np.full((30, 40, 3), number, np.uint8)).save(folder / f"img_{number:05d}.png")
    with open_video(folder) as video:
        assert len(video) == 12 and video.frames(range(12))[:, 0, 0, 0].tolist() == list(range(1, 13))
    with open_clips(folder, SPEC) as video:
        assert len(video) == 11 and video.frames([0])[0, 0, 0].tolist() == [10, 11]
    assert verify_video(folder).frames == 12


def test_frames_that_begin_with_a_letter_are_frames(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(np.full((30, 40, 3), number, np.uint8)).save(folder / f"x_{number}.png")
    with open_clips(folder, SPEC) as video:
        assert not isinstance(video, FlowFolder) and len(video) == 2


@pytest.mark.parametrize("kind", ["TSN", "folders"])
def test_flow_is_refused_where_frames_are_wanted(kind: str, tmp_path: Path) -> None:
    folder = write_flow(tmp_path / "clip", kind)
    with pytest.raises(VideoError, match="images of optical flow alone: they are for networks of --modality flow"):
        open_video(folder)
    assert verify_video(folder).frames == 11


@pytest.mark.parametrize(
    ("kind", "gone", "message"),
    [
        ("TSN", "flow_y_00004.png", "flow_x_00004.png has no partner flow_y_00004.png"),
        ("TSN", "flow_x_00011.png", "flow_y_00011.png has no partner flow_x_00011.png"),
        ("letters", "y_00004.png", "x_00004.png has no partner y_00004.png"),
        ("folders", "y/00004.png", "x/ has 11 images and y/ 10: x/00004.png has no partner in y/"),
        ("folders", "x/00001.png", "x/ has 10 images and y/ 11: y/00001.png has no partner in x/"),
    ],
)
def test_a_missing_partner(kind: str, gone: str, message: str, tmp_path: Path) -> None:
    folder = write_flow(tmp_path / "clip", kind)
    (folder / gone).unlink()
    with pytest.raises(VideoError, match=f"clip: {message}"):
        open_clips(folder, SPEC)


def test_a_missing_folder(tmp_path: Path) -> None:
    folder = write_flow(tmp_path / "clip", "folders", "uv")
    shutil.rmtree(folder / "v")
    with pytest.raises(VideoError, match="clip: has a folder u/ of images, but no v/ beside it"):
        open_clips(folder, SPEC)


def test_axes_of_different_sizes(tmp_path: Path) -> None:
    folder = write_flow(tmp_path / "clip", "TSN")
    for number in range(1, 12):
        Image.fromarray(picture(number, 1, (30, 44))).save(folder / f"flow_y_{number:05d}.png")
    with open_clips(folder, SPEC) as video:
        with pytest.raises(VideoError, match=r"flow_x_00003.png has 40 x 30 px and flow_y_00003.png has 44 x 30 px"):
            video.frames([2, 3])
        with pytest.raises(VideoError, match=r"flow_x_00003.png has 40 x 30 px"):
            list(video.stream(np.array([2, 3])))


def test_damaged_images_stand_in(tmp_path: Path) -> None:
    folder = write_flow(tmp_path / "clip", "TSN")
    (folder / "flow_y_00004.png").write_bytes(b"no picture")
    with open_clips(folder, SPEC) as video:
        assert video.frames(range(11))[3, 0, 0].tolist() == [40, 31]
        assert "the first is frame 3 of 11" in video.stand_ins and "flow_y_00004.png" in video.warning


def test_sets_and_lists_find_them(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_flow(tmp_path / "set" / "train" / name / "clip", "folders", "uv", count=2)
        write_flow(tmp_path / "set" / "test" / name / "clip", "TSN", count=2)
    data = read_action("folders", tmp_path / "set")
    listed = [record.name for record in (*data.train, *data.test)]
    assert listed == ["train/one/clip", "train/two/clip", "test/one/clip", "test/two/clip"]
    found = find_inputs([tmp_path / "set"]).table.column("id").to_pylist()
    names = [Path(name).relative_to(tmp_path / "set").as_posix() for name in found]
    assert names == ["test/one/clip", "test/two/clip", "train/one/clip", "train/two/clip"]


def test_a_set_of_flow_is_checked(tmp_path: Path) -> None:
    rows = ["path,label,set,start_s,end_s"]
    for part in ("train", "test"):
        for name in ("one", "two"):
            write_flow(tmp_path / part / name, "folders", "uv", count=3)
            rows.append(f"{part}/{name},{name},{part},0,0.08")
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    assert check("table", tmp_path / "clips.csv", workers=1).ok
    (tmp_path / "test" / "one" / "v" / "00002.png").unlink()
    report = check("table", tmp_path / "clips.csv", workers=1)
    assert "u/00002.png has no partner in v/" in str(report)
