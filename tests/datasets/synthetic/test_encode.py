"""The helper that writes video files for the synthetic sets and for tests."""

from pathlib import Path

import av
import numpy as np
import pytest

from specvid.datasets.decode import open_video
from specvid.datasets.synthetic.encode import damage, write_audio_only, write_video
from specvid.errors import VideoError


def ramp(frames: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth pictures that differ from frame to frame: (T, H, W, 3)."""
    y, x = np.mgrid[:height, :width]
    pictures = [np.stack([2 * x + t, 3 * y, 60 + x + y], axis=-1) for t in range(frames)]
    return np.stack(pictures).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "mpeg4"), ("a.mp4", "mpeg4"), ("a.avi", "mjpeg"), ("a.mkv", "ffv1")]
)
def test_frames_come_back(tmp_path: Path, name: str, codec: str) -> None:
    frames = ramp(20)
    pix = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(tmp_path / name, frames, 12.5, codec=codec, pix_fmt=pix)
    with open_video(path, "pyav") as video:
        assert len(video) == 20
        assert video.fps == pytest.approx(12.5)
        assert np.abs(video.frames(np.arange(20)).astype(int) - frames).mean() < 2


def test_frames_may_come_one_by_one_and_many(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.avi", (frame for _ in range(150) for frame in ramp(10)), 25)
    with open_video(path) as video:
        assert len(video) == 1500


def test_coarser_quantiser_smaller_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (10, 48, 64, 3), dtype=np.uint8)
    fine, coarse = (write_video(tmp_path / f"{q}.avi", noise, quantiser=q) for q in (1, 20))
    assert fine.stat().st_size > 2 * coarse.stat().st_size


def test_key_frames_follow_gop(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", ramp(20), gop=5)
    with av.open(str(path)) as container:
        keys = [
            number for number, packet in enumerate(p for p in container.demux(video=0) if p.size) if packet.is_keyframe
        ]
    assert keys == [0, 5, 10, 15]


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "no frames"),
        ([np.zeros((4, 5, 3), np.uint8)], "frame 0 is .* even H and W"),
        ([np.zeros((4, 4), np.uint8)], "must be uint8"),
        ([np.zeros((16, 16, 3), np.uint8), np.zeros((16, 18, 3), np.uint8)], "frame 1 is uint8"),
        ([np.zeros((16, 16, 3), np.float32)], "frame 0 is float32"),
    ],
)
def test_wrong_frames_are_named(tmp_path: Path, frames: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / "a.avi", frames)
    assert not (tmp_path / "a.avi").exists()


def test_audio_only_and_damaged_files_are_refused_by_the_decoder(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no video stream"), open_video(write_audio_only(tmp_path / "a.avi")):
        pass
    path = write_video(tmp_path / "b.mp4", ramp(100), codec="mpeg4")
    before = path.read_bytes()
    damage(path, start=0.3, share=0.2)
    after = path.read_bytes()
    changed = np.flatnonzero(np.frombuffer(before, np.uint8) != np.frombuffer(after, np.uint8))
    assert len(before) == len(after)
    assert 0.29 * len(before) < changed.min() < changed.max() < 0.51 * len(before)
