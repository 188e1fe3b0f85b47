"""The spec of a clip: made from a network's input, and wrong values named."""

from dataclasses import asdict

import numpy as np
import pytest

from specvid.datasets.clips.sampling import dense_clip, test_clips, uniform_segments
from specvid.datasets.clips.spec import ClipSpec
from specvid.models.spec import InputSpec

INPUT = InputSpec(16, 2, (112, 96), (128, 171), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))


def test_it_has_all_that_a_network_asks_for():
    spec = ClipSpec.of(INPUT, sampling="segments", decoder="pyav")
    assert asdict(spec) == {**asdict(INPUT), "sampling": "segments", "decoder": "pyav", "min_readable": 0.9}
    assert spec.crop == (112, 96)
    assert ClipSpec(8, 1, [32, 24], [40, 50]) == ClipSpec(8, 1, (32, 24), (40, 50))  # lists come from JSON


def test_frames_of_different_sizes_are_brought_to_one():
    assert ClipSpec(8, 1, 32, 40).frame_size == (32, 32)
    assert ClipSpec(8, 1, (32, 16), (36, 18)).frame_size == (36, 18)


def test_sampling_decides_which_frames_are_taken():
    dense, segments = ClipSpec(8, 3, 32, 32), ClipSpec(8, 3, 32, 32, sampling="segments")
    for seed in range(3):
        draw = (np.random.default_rng(seed) for _ in range(4))
        assert np.array_equal(dense.train_frames(90, next(draw)), dense_clip(90, 8, 3, next(draw)))
        assert np.array_equal(segments.train_frames(90, next(draw)), uniform_segments(90, 8, next(draw)))
    assert np.array_equal(dense.test_frames(90, 4), test_clips(90, 8, 3, 4))
    assert np.array_equal(segments.test_frames(90, 1), uniform_segments(90, 8, None)[None])
    assert dense.shortage(21).startswith("21 frames, fewer than the 22 of a clip")
    assert segments.shortage(21) == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 0}, "frames = 0"),
        ({"stride": -1}, "stride = -1"),
        ({"size": 0}, "size = 0"),
        ({"resize": (10, 0)}, "resize = "),
        ({"mean": (0, 0)}, "3 numbers"),
        ({"modality": "flow"}, "2 numbers"),
        ({"modality": "flows"}, "Did you mean 'flow'"),
        ({"std": (1, 0, 1)}, "std above 0"),
        ({"sampling": "dens"}, "Did you mean 'dense'"),
        ({"decoder": "cv2"}, "decoder 'cv2' is unknown"),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        ClipSpec(**{"frames": 8, "stride": 1, "size": 32, "resize": 40} | changes)


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: value} for name in ("frames", "stride") for value in (0, -1, 10**7, 10**30, True, 2.0, "8", None)),
        *({name: value} for name in ("size", "resize") for value in (0, 10**5, (8, 10**9), (8.0, 8), "8", None, (8,))),
        *(
            {name: value}
            for name in ("mean", "std")
            for value in (("a", "b", "c"), (float("nan"),) * 3, (1, 1, float("inf")), (1, 1, 10**400), (1, 1), 1, None)
        ),
        {"std": (0.2, 0.2, 0.0)},
        {"std": (1e-300, 0.2, 0.2)},
        {"std": (True, 0.2, 0.2)},
        {"mean": "abc"},
    ],
)
def test_an_input_that_nobody_reads(wrong: dict[str, object]) -> None:
    """Settings that somebody else wrote: refused where they are read, not by whatever first computes with them."""
    fields = {"frames": 16, "stride": 2, "size": (112, 96), "resize": (128, 171)}
    with pytest.raises(ValueError, match=f"input: .*{next(iter(wrong))}"):
        InputSpec(**{**fields, **wrong})
    with pytest.raises(ValueError, match=r"input: "):
        INPUT.override(wrong)


def test_clips_of_numbers_that_are_not_finite() -> None:
    for wrong in ({"std": (float("nan"), 1.0, 1.0)}, {"mean": ("a", "b", "c")}):
        with pytest.raises(ValueError, match="3 numbers each, finite"):
            ClipSpec(4, 1, 32, 40, **wrong)
