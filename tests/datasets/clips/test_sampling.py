"""Index arithmetic against slow, obvious references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specvid.datasets.clips import sampling

LENGTH, FRAMES, STRIDE = st.integers(1, 300), st.integers(1, 40), st.integers(1, 9)


def slow_clip(length, frames, stride, start):
    """Play the video again and again, and take every ``stride``-th frame from ``start`` on."""
    played = list(range(length)) * (1 + (start + frames * stride) // length)
    return [played[start + k * stride] for k in range(frames)]


def slow_starts(length, frames, stride):
    """All places from which the clip fits; the beginning where there is none."""
    fitting = [start for start in range(length) if start + (frames - 1) * stride <= length - 1]
    return fitting or [0]


@given(length=LENGTH, frames=FRAMES, stride=STRIDE, seed=st.integers(0, 99))
def test_dense_clip(length, frames, stride, seed):
    starts = slow_starts(length, frames, stride)
    start = starts[int(np.random.default_rng(seed).integers(len(starts)))]
    clip = sampling.dense_clip(length, frames, stride, np.random.default_rng(seed))
    assert clip.tolist() == slow_clip(length, frames, stride, start)
    middle = sampling.dense_clip(length, frames, stride, None)
    assert middle.tolist() == slow_clip(length, frames, stride, starts[(len(starts) - 1) // 2])


def test_dense_clip_starts_everywhere_alike():
    rng = np.random.default_rng(0)
    starts = [sampling.dense_clip(12, 4, 2, rng)[0] for _ in range(6_000)]
    counts = np.bincount(starts)
    assert len(counts) == 6
    assert counts.min() > 850
    assert counts.max() < 1150


def test_a_short_video_is_looped():
    assert sampling.dense_clip(5, 8, 2, np.random.default_rng(0)).tolist() == [0, 2, 4, 1, 3, 0, 2, 4]
    assert sampling.test_clips(3, 4, 1, 2).tolist() == [[0, 1, 2, 0]] * 2
    assert sampling.dense_clip(1, 3, 7, None).tolist() == [0, 0, 0]


@given(length=LENGTH, frames=FRAMES, stride=STRIDE)
def test_whoever_repeats_frames_says_so(length, frames, stride):
    for kind, picked in (
        ("dense", sampling.dense_clip(length, frames, stride, None)),
        ("segments", sampling.uniform_segments(length, frames, None)),
    ):
        again = len(set(picked.tolist())) < frames
        wrapped = kind == "dense" and bool((np.diff(picked) != stride).any())  # 0, 3 of two frames is 0, 1
        message = sampling.shortage(length, frames, stride, kind)
        assert bool(message) == (again or wrapped)
        assert not message or message.startswith(f"{length} frames, fewer than the ")


@given(length=LENGTH, segments=st.integers(1, 40), seed=st.integers(0, 99))
def test_uniform_segments(length, segments, seed):
    for rng in (None, np.random.default_rng(seed)):
        picked = sampling.uniform_segments(length, segments, rng)
        assert picked.dtype == np.int64
        assert len(picked) == segments
        for k, frame in enumerate(picked.tolist()):
            # frame covers the time [frame, frame + 1); segment k the time [k, k + 1) * length / segments
            assert frame * segments < (k + 1) * length
            assert (frame + 1) * segments > k * length
        assert (np.diff(picked) >= 0).all()
    middles = sampling.uniform_segments(length, segments, None)
    assert middles.tolist() == [(2 * k + 1) * length // (2 * segments) for k in range(segments)]


def test_uniform_segments_reach_all_of_a_segment():
    rng = np.random.default_rng(0)
    picked = np.stack([sampling.uniform_segments(12, 3, rng) for _ in range(2_000)])
    for k in range(3):
        assert set(picked[:, k]) == set(range(4 * k, 4 * k + 4))


@given(length=LENGTH, frames=FRAMES, stride=STRIDE, clips=st.integers(1, 12))
def test_test_clips(length, frames, stride, clips):
    starts = slow_starts(length, frames, stride)
    views = sampling.test_clips(length, frames, stride, clips)
    assert views.shape == (clips, frames)
    if clips == 1:
        wanted = [starts[(len(starts) - 1) // 2]]
    else:
        wanted = [round_half_down(k * (len(starts) - 1), clips - 1) for k in range(clips)]
        assert wanted[0] == starts[0]
        assert wanted[-1] == starts[-1]
    assert views.tolist() == [slow_clip(length, frames, stride, start) for start in wanted]


def round_half_down(a, b):
    """``a / b`` rounded to the nearest whole number, halves down."""
    return min(range(a // b, a // b + 2), key=lambda n: (abs(n * b - a), n))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sampling.dense_clip(0, 8, 1, None), "length = 0"),
        (lambda: sampling.dense_clip(9, 0, 1, None), "frames = 0"),
        (lambda: sampling.dense_clip(9, 8, -1, None), "stride = -1"),
        (lambda: sampling.uniform_segments(9, 0, None), "segments = 0"),
        (lambda: sampling.test_clips(9, 8, 1, 0), "clips = 0"),
    ],
)
def test_wrong_sizes(call, message):
    with pytest.raises(ValueError, match=message):
        call()
