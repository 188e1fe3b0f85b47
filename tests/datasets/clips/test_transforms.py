"""Clips of pixels: consistent over time, repeatable, normalised, and where the crops lie."""

import os
import pickle
import subprocess
import sys

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from specvid.datasets.clips import augment, transforms
from specvid.datasets.clips.spec import ClipSpec


def clip_of(size=32, resize=40):
    return ClipSpec(5, 1, size, resize, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))


def pictures(frames=5, height=60, width=80, seed=0):
    """Smooth random pictures, uint8 (T, H, W, 3)."""
    small = np.random.default_rng(seed).integers(0, 256, (frames, 8, 8, 3), dtype=np.uint8)
    return np.stack([cv2.resize(frame, (width, height)) for frame in small])


def slow_normalise(frames, spec):
    """(T, H, W, 3) bytes -> (3, T, H, W), in float64."""
    return np.moveaxis((frames / 255.0 - np.array(spec.mean)) / np.array(spec.std), -1, 0)


def test_normalise():
    frames, spec = pictures(), clip_of()
    out = transforms.Normalise(spec.mean, spec.std)(frames[:, 3:40, 5:30])
    assert out.dtype == torch.float32
    assert out.is_contiguous()
    assert out.shape == (3, 5, 37, 25)
    assert np.abs(out.numpy() - slow_normalise(frames[:, 3:40, 5:30], spec)).max() < 1e-6
    with pytest.raises(ValueError, match="std above 0"):
        transforms.Normalise((0, 0, 0), (1, 0, 1))


ALL = {"jitter": 0.4, "erase": 1.0, "flip": 0.5}


@pytest.mark.parametrize("crop", transforms.CROPS)
@pytest.mark.parametrize("options", [{}, {"jitter": 0.4}, {"erase": 1.0}, ALL], ids=str)
@pytest.mark.parametrize(
    "spec", [clip_of(), clip_of(size=(40, 24), resize=(48, 64)), clip_of(size=[32, 24], resize=[40, 50])]
)
def test_training_treats_all_frames_alike_and_repeats(crop, options, spec):
    transform = transforms.train_transform(spec, crop=crop, **options)
    frames = np.repeat(pictures(1), 6, axis=0)
    results = []
    for seed in (1, 1, 2):
        clip = transform(frames.copy(), np.random.default_rng(seed))
        assert clip.shape == (3, 6, *spec.crop)
        assert clip.dtype == torch.float32
        assert clip.is_contiguous()
        assert (clip == clip[:, :1]).all()
        results.append(clip)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_training_follows_the_generator_alone():
    """Neither earlier clips nor the global generators matter, and the transform survives the way to a worker."""
    transform = transforms.train_transform(clip_of(), crop="resized", **ALL)
    first = transform(pictures(), np.random.default_rng(5))
    np.random.seed(7)
    for seed in range(3):
        transform(pictures(seed=seed), np.random.default_rng(seed))
    again = pickle.loads(pickle.dumps(transform))
    for other in (transform, again):
        assert torch.equal(other(pictures(), np.random.default_rng(5)), first)
    with pytest.raises(ValueError, match="pass a numpy Generator"):
        transform(pictures(), None)


def test_training_leaves_its_input_alone():
    frames = pictures()
    before = frames.copy()
    for crop in transforms.CROPS:
        transforms.train_transform(clip_of(size=60, resize=60), crop=crop, **ALL)(frames, np.random.default_rng(0))
    assert np.array_equal(frames, before)


def test_flip():
    spec = clip_of(size=(60, 80), resize=(60, 80))
    frames = pictures()
    kept = transforms.train_transform(spec, flip=0)(frames, np.random.default_rng(0))
    mirrored = transforms.train_transform(spec, flip=1)(frames, np.random.default_rng(0))
    assert np.abs(kept.numpy() - slow_normalise(frames, spec)).max() < 1e-6
    assert torch.equal(mirrored, kept.flip(-1))
    transform = transforms.train_transform(spec, flip=0.5)
    sides = [torch.equal(transform(frames, np.random.default_rng(seed)), kept) for seed in range(200)]
    assert 70 < sum(sides) < 130


def test_jitter_is_albumentations_and_keeps_equal_pixels_equal():
    frames = pictures()
    frames[3] = frames[0]
    transform = transforms.train_transform(clip_of(size=(60, 80), resize=(60, 80)), flip=0, jitter=0.5)
    changed = 0
    for seed in range(10):
        clip = transform(frames, np.random.default_rng(seed))
        assert torch.equal(clip[:, 3], clip[:, 0])
        changed += not np.allclose(clip.numpy(), slow_normalise(frames, clip_of()), atol=1e-6)
    assert 5 <= changed <= 10  # applied with probability 0.8
    jitter = augment.ClipColorJitter((1.3, 1.3), (1, 1), (1, 1), (0, 0), p=1)
    plain = A.ColorJitter((1.3, 1.3), (1, 1), (1, 1), (0, 0), p=1)
    clip = A.Compose([jitter])(images=frames)["images"]
    assert all(
        np.array_equal(out, A.Compose([plain])(image=frame)["image"]) for out, frame in zip(clip, frames, strict=True)
    )


def test_erasing_blanks_one_rectangle_with_the_mean():
    frames = np.full((4, 60, 80, 3), 255, dtype=np.uint8)
    transform = transforms.train_transform(clip_of(size=(60, 80), resize=(60, 80)), flip=0, erase=1)
    for seed in range(10):
        clip = transform(frames, np.random.default_rng(seed)).numpy()
        blank = np.abs(clip).max(0) < 0.02  # the mean colour, rounded to bytes, is 0 after normalisation
        assert (blank == blank[0]).all()
        rows, columns = np.flatnonzero(blank[0].any(1)), np.flatnonzero(blank[0].any(0))
        assert blank[0, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert 0.01 < blank[0].mean() < 0.35


@given(
    height=st.integers(30, 90),
    width=st.integers(30, 90),
    seed=st.integers(0, 999),
    kind=st.sampled_from(transforms.CROPS),
)
@settings(deadline=None)
def test_windows_lie_inside(height, width, seed, kind):
    import random

    window = {
        "random": augment.RandomWindow((20, 24), 30),
        "resized": augment.RandomResizedWindow((20, 24), (0.2, 1.0), (3 / 4, 4 / 3)),
        "multiscale": augment.MultiScaleWindow((20, 24)),
    }[kind]
    top, left, h, w = window.draw((height, width), random.Random(seed))
    assert 0 <= top <= top + h <= height
    assert 0 <= left <= left + w <= width
    if kind == "random":  # its size is that of the crop before resizing
        full = augment.resized_size((height, width), 30)
        assert abs(h - 20 * height / full[0]) <= 0.5
        assert abs(w - 24 * width / full[1]) <= 0.5
    if kind == "resized":
        assert 0.15 * height * width <= h * w
        assert 0.7 <= w / h <= 1.43 or h == height or w == width
    if kind == "multiscale":
        short = min(height, width)
        allowed = [int(short * scale) for scale in augment.MULTISCALE]
        assert h in allowed
        assert w in allowed
        assert abs(allowed.index(h) - allowed.index(w)) <= 1


def test_windows_reach_everywhere():
    import random

    rng = random.Random(0)
    window = augment.RandomWindow((32, 32), 40)
    drawn = [window.draw((60, 80), rng) for _ in range(2_000)]
    assert {top for top, *_ in drawn} == set(range(60 - 48 + 1))
    assert {left for _, left, *_ in drawn} == set(range(80 - 48 + 1))
    drawn = [augment.MultiScaleWindow((32, 32)).draw((60, 80), rng) for _ in range(3_000)]
    assert len({(h, w) for *_, h, w in drawn}) == 10
    assert len({(top, left) for top, left, h, w in drawn if (h, w) == (39, 39)}) == 13


def test_cut_and_resize_is_opencv_frame_by_frame():
    frames = pictures()
    out = augment.cut_and_resize(frames, (7, 11, 40, 50), (32, 24))
    for frame, resized in zip(frames, out, strict=True):
        assert np.array_equal(resized, cv2.resize(frame[7:47, 11:61], (24, 32), interpolation=cv2.INTER_LINEAR))
    assert np.array_equal(augment.cut_and_resize(frames, (7, 11, 32, 24), (32, 24)), frames[:, 7:39, 11:35])


@pytest.mark.parametrize("size", [(32, 24), (90, 110), (40, 30)])
def test_bicubic_is_pil_frame_by_frame(size):
    frames = pictures()
    out = augment.cut_and_resize(frames, (7, 11, 40, 50), size, "bicubic")
    for frame, resized in zip(frames, out, strict=True):
        whole = Image.fromarray(frame[7:47, 11:61])
        assert np.array_equal(resized, np.asarray(whole.resize((size[1], size[0]), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize(
    ("full", "resize", "wanted"),
    [
        ((240, 320), 128, (128, 171)),
        ((320, 240), 128, (171, 128)),
        ((240, 320), (128, 171), (128, 171)),
        ((99, 99), 50, (50, 50)),
    ],
)
def test_resized_size(full, resize, wanted):
    assert augment.resized_size(full, resize) == wanted


@pytest.mark.parametrize("crops", transforms.VIEWS)
@pytest.mark.parametrize("shape", [(60, 80), (80, 60)])
def test_test_views_are_the_right_crops(crops, shape):
    spec = clip_of(size=(30, 20), resize=shape)
    frames = pictures(3, *shape)
    views = transforms.test_transform(spec, crops=crops)(frames)
    assert views.shape == (crops, 3, 3, 30, 20)
    assert views.is_contiguous()
    room_h, room_w = shape[0] - 30, shape[1] - 20
    centre = (room_h // 2, room_w // 2)
    wide = [(centre[0], 0), centre, (centre[0], room_w)]
    tall = [(0, centre[1]), centre, (room_h, centre[1])]
    places = {
        1: [centre],
        3: wide if shape == (60, 80) else tall,
        5: [centre, (0, 0), (0, room_w), (room_h, 0), (room_h, room_w)],
    }[5 if crops == 10 else crops]
    wanted = [slow_normalise(frames[:, y : y + 30, x : x + 20], spec) for y, x in places]
    if crops == 10:
        wanted += [view[..., ::-1] for view in wanted]
    assert np.abs(views.numpy() - np.stack(wanted)).max() < 1e-6


def test_test_views_resize_first():
    spec = clip_of(size=32, resize=40)
    frames = pictures(3, 120, 160)
    views = transforms.test_transform(spec, crops=1)(frames, np.random.default_rng(0))
    small = np.stack([cv2.resize(frame, (53, 40), interpolation=cv2.INTER_LINEAR) for frame in frames])
    assert np.abs(views[0].numpy() - slow_normalise(small[:, 4:36, 10:42], spec)).max() < 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": "randm"}, "crop 'randm' is unknown.*'random'"),
        ({"flip": 1.5}, "flip = 1.5"),
        ({"jitter": -1}, "jitter = -1"),
        ({"scale": (0, 1)}, "scale = "),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        transforms.train_transform(clip_of(), **options)


def test_a_crop_larger_than_the_frame():
    spec = clip_of(size=64, resize=40)
    with pytest.raises(ValueError, match="size = 64 x 64 px does not fit into the resized frame of 40 x 53 px"):
        transforms.train_transform(spec)(pictures(), np.random.default_rng(0))
    with pytest.raises(ValueError, match="make `resize` at least as large"):
        transforms.test_transform(spec, crops=3)(pictures())
    with pytest.raises(ValueError, match="crops = 2"):
        transforms.test_transform(clip_of(), crops=2)


def test_nothing_is_asked_of_the_network() -> None:
    """albumentations looks for a newer version of itself when it is imported, unless told not to."""
    script = """
import socket
def refuse(*args, **options):
    raise SystemExit(f"asked for {args}")  # no Exception: albumentations would keep it to itself
socket.getaddrinfo = socket.create_connection = refuse
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import train_transform
train_transform(ClipSpec(8, 1, 8, 8), erase=0.5)
"""
    environment = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
