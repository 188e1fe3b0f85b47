"""Optical flow and differences of frames: known motion, formulas, mirrored clips, what passes on from the source."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from specvid.datasets.clips.motion import BOUND, DifferenceVideo, FlowVideo, as_modality, flow_bytes, open_clips
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import Normalise, train_transform
from specvid.datasets.clips.transforms import test_transform as views_of
from specvid.datasets.clips.videos import TestViews, TrainClips
from specvid.datasets.decode import Video
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.errors import VideoError
from specvid.models.spec import InputSpec

HALF = (0.5, 0.5)


class Frames(Video):
    """Frames in memory, and which were decoded."""

    def __init__(self, frames: np.ndarray, times: np.ndarray | None = None) -> None:
        super().__init__("frames", len(frames), 10.0, frames.shape[1:3], times=times)
        self.content, self.decoded, self.closed = frames, [], False

    def _decode(self, needed: np.ndarray) -> np.ndarray:
        self.decoded.append(needed.tolist())
        return self.content[needed]

    def close(self) -> None:
        self.closed = True


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth random picture, uint8 (H, W, 3)."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def moving(right: int, down: int, frames: int = 3, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    """A picture that moves by so many px a frame, uint8 (T, H, W, 3)."""
    wide = texture(size[0] + 80, size[1] + 80)
    starts = [(40 - down * i, 40 - right * i) for i in range(frames)]
    return np.stack([wide[y : y + size[0], x : x + size[1]] for y, x in starts])


def pixels(flow: np.ndarray) -> np.ndarray:
    """Bytes as px per frame."""
    return flow / 255 * 2 * BOUND - BOUND


def flow_spec(**options: object) -> ClipSpec:
    return ClipSpec(
        **{"frames": 4, "stride": 1, "size": 32, "resize": 40, "mean": HALF, "std": HALF} | options, modality="flow"
    )


def write_images(folder: Path, frames: Sequence[np.ndarray]) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        Image.fromarray(frame).save(folder / f"{number:05d}.png")
    return folder


@pytest.mark.parametrize(("right", "down"), [(3, -2), (-4, 0), (0, 5)])
def test_flow_of_a_known_translation(right: int, down: int) -> None:
    flow = FlowVideo(Frames(moving(right, down))).frames([0, 1])
    assert flow.shape == (2, 120, 160, 2) and flow.dtype == np.uint8
    inside = pixels(flow[:, 16:-16, 16:-16])
    assert np.abs(np.median(inside, axis=(1, 2)) - (right, down)).max() < 0.1
    assert np.abs(inside - (right, down)).mean() < 0.15


def test_flow_is_of_frames_of_256_px_at_most() -> None:
    flow = FlowVideo(Frames(moving(4, 2, size=(512, 640)))).frames([0])
    assert flow.shape == (1, 256, 320, 2)
    assert np.abs(np.median(pixels(flow[0, 16:-16, 16:-16]), axis=(0, 1)) - (2, 1)).max() < 0.1


def test_flow_as_bytes() -> None:
    values = np.array([-30, -20, -10, -0.2, 0, 0.2, 3, 20, 30], np.float32)
    expected = np.clip(np.rint((values.astype(np.float64) + 20) * 255 / 40), 0, 255)
    assert np.array_equal(flow_bytes(np.stack([values, values], -1)[None])[0, :, 0], expected)


def test_flow_of_a_mirrored_clip_is_mirrored_flow_with_x_negated() -> None:
    clip = moving(3, -2)
    flow, mirrored = (FlowVideo(Frames(frames)).frames([0, 1]) for frames in (clip, clip[:, :, ::-1].copy()))
    flip = train_transform(flow_spec(size=(120, 160), resize=(120, 160)), flip=1.0)
    expected = flip(mirrored, np.random.default_rng(0))  # mirrored twice
    plain = Normalise(HALF, HALF)(flow)
    difference = (expected - plain)[..., 16:-16, 16:-16].abs() * BOUND  # px
    assert difference.mean() < 0.1 and difference.median() < 0.1
    turned = Normalise(HALF, HALF)(flow[:, :, ::-1].copy()) * torch.tensor([-1.0, 1.0])[:, None, None, None]
    assert torch.allclose(flip(flow, np.random.default_rng(0)), turned, atol=1e-6)


def test_ten_views_of_flow() -> None:
    flow = FlowVideo(Frames(moving(3, -2))).frames([0, 1])
    for mean, std in ((HALF, HALF), ((0.4, 0.6), (0.3, 0.2))):
        views = views_of(flow_spec(mean=mean, std=std), crops=10)(flow)
        assert views.shape == (10, 2, 2, 32, 32)
        scale, shift = (torch.tensor(values)[:, None, None, None] for values in (std, mean))
        bytes_of = ((views * scale + shift) * 255).round()
        assert torch.equal(bytes_of[5:, 0], 255 - bytes_of[:5, 0].flip(-1))
        assert torch.equal(bytes_of[5:, 1], bytes_of[:5, 1].flip(-1))


def test_differences_and_what_they_become() -> None:
    """Normalised, the byte picture is the difference of normalised frames, to half a byte."""
    frames = np.random.default_rng(0).integers(0, 256, (4, 20, 30, 3), dtype=np.uint8)
    found = DifferenceVideo(Frames(frames)).frames([0, 1, 2])
    exact = (frames[1:].astype(np.float64) - frames[:-1]) / 2 + 127.5
    assert found.dtype == np.uint8 and np.abs(found - exact).max() <= 0.5
    rgb = InputSpec(4, 1, 16, 20, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    difference = rgb.override({"modality": "rgb-diff"})
    x = Normalise(rgb.mean, rgb.std)(frames)
    y = Normalise(difference.mean, difference.std)(found)
    room = torch.tensor([0.5 / 255 / std for std in difference.std])[:, None, None, None] + 1e-5
    assert ((y - (x[:, 1:] - x[:, :-1])).abs() <= room).all()
    mirrored = views_of(ClipSpec.of(difference), crops=10)(found)
    assert torch.equal(mirrored[5:], mirrored[:5].flip(-1))


@pytest.mark.parametrize("kind", [FlowVideo, DifferenceVideo])
def test_each_frame_is_decoded_once(kind: type) -> None:
    clip, times = moving(2, 1, frames=9), np.arange(9) ** 1.5
    video = kind(Frames(clip, times))
    assert len(video) == 8 and video.fps == 10 and np.array_equal(video.times, times[:8])
    some = video.frames([5, 0, 1, 1])
    assert video.source.decoded == [[0, 1, 2, 5, 6]]
    assert np.array_equal(some, np.concatenate([video.frames([number]) for number in (5, 0, 1, 1)]))
    video.source.decoded.clear()
    needed = np.array([0, 1, 4, 7])
    assert np.array_equal(np.stack(list(video.stream(needed))), video.frames(needed))
    assert video.source.decoded[0] == [0, 1, 2, 4, 5, 7, 8]
    with pytest.raises(ValueError, match="frame 8 of frames does not exist: it has frames 0 to 7"):
        video.frames([8])
    with video:
        assert not video.source.closed
    assert video.source.closed


def test_threads_change_nothing() -> None:
    clip = moving(3, -2) // 2 + np.random.default_rng(0).integers(0, 100, (3, 120, 160, 3)).astype(np.uint8)
    before, results = cv2.getNumThreads(), []
    try:
        for threads in (1, 2, 4, 0):
            cv2.setNumThreads(threads)
            now = cv2.getNumThreads()
            results.append(FlowVideo(Frames(clip)).frames([0, 1]))
            assert cv2.getNumThreads() == now
    finally:
        cv2.setNumThreads(before)
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_what_has_no_motion(tmp_path: Path) -> None:
    source = Frames(moving(1, 1, frames=1))
    with pytest.raises(VideoError, match="has one frame: motion takes two"):
        as_modality(source, flow_spec())
    assert source.closed
    tiny = FlowVideo(Frames(np.zeros((3, 8, 10, 3), np.uint8)))
    with pytest.raises(VideoError, match="too small for optical flow: 10 x 8 px"):
        tiny.frames([0])
    one = write_images(tmp_path / "one", moving(1, 1, frames=1))
    views = TestViews([VideoRecord(one, "one", 0)], flow_spec(), transform=views_of(flow_spec()))[0]
    assert "one: has one frame" in views["error"] and views["video"].shape == (1, 2, 4, 32, 32)


def test_lost_frames_of_the_source_are_said(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "frames", moving(1, 1, frames=30))
    (folder / "00007.png").write_bytes(b"no picture")
    with open_clips(folder, flow_spec()) as video:
        video.frames(range(29))
        assert "1 of 30 wanted frames cannot be decoded, the first is frame 6 of 30" in video.stand_ins
        assert video.warning == video.stand_ins
    with open_clips(folder, flow_spec(min_readable=1.0)) as strict, pytest.raises(VideoError, match="is damaged"):
        strict.frames(range(29))


def test_images_of_different_sizes(tmp_path: Path) -> None:
    clip = moving(2, 1)
    folder = write_images(tmp_path / "frames", [clip[0], clip[1][:100, :120], clip[2]])
    with open_clips(folder, flow_spec()) as video:
        assert [frame.shape for frame in video.stream(np.array([0, 1]))] == [(120, 160, 2), (100, 120, 2)]
        assert video.frames([0, 1]).shape == (2, 120, 160, 2)


@pytest.mark.parametrize("modality", ["flow", "rgb-diff"])
def test_clips_to_train_and_test_on(modality: str, tmp_path: Path) -> None:
    record = VideoRecord(write_images(tmp_path / "frames", moving(2, 1, frames=8)), "frames", 0)
    spec = ClipSpec.of(InputSpec(4, 1, 32, 40).override({"modality": modality}))
    transform = train_transform(spec, crop="multiscale", flip=0.5, erase=1.0)
    train = TrainClips([record], spec, transform=transform)
    first, again, other = train[0, 0]["video"], train[0, 0]["video"], train[1, 0]["video"]
    assert first.shape == (spec.channels, 4, 32, 32) and torch.equal(first, again) and not torch.equal(first, other)
    views = TestViews([record], spec, transform=views_of(spec, crops=3), clips=2)[0]
    assert views["video"].shape == (6, spec.channels, 4, 32, 32) and not views["error"] and not views["repeated"]
    longer = TestViews(
        [record], ClipSpec.of(InputSpec(8, 1, 32, 40).override({"modality": modality})), transform=views_of(spec)
    )
    assert "7 frames, fewer than the 8 of a clip" in longer[0]["repeated"]


def test_colours_of_motion_are_not_changed() -> None:
    with pytest.raises(ValueError, match=r"jitter 0.2 changes colours, .* 'flow' have none: --jitter 0"):
        train_transform(flow_spec(), jitter=0.2)
