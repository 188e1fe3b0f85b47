"""Which frames of a video or tracklet make a clip: index arithmetic only, randomness passed in.

A video shorter than the clip is played again from its start (looped): frame ``i`` stands for ``i mod length``. That
keeps the motion running, where repeating the last frame would freeze it; it is the rule of all functions with a
stride here. Whoever reads clips reports it (`shortage`): no frame is repeated silently.
"""

import numpy as np

from specvid.errors import unknown

TEST_SAMPLINGS = ("all", "even", "first")


def dense_clip(length: int, frames: int, stride: int, rng: np.random.Generator | None) -> np.ndarray:
    """One clip of consecutive frames from a random place of the video.

    Source: the usual dense sampling, e.g. SlowFast, https://arxiv.org/abs/1812.03982.

    Args:
        length: frames of the video.
        frames: frames of the clip.
        stride: distance of its frames, in frames of the video.
        rng: draws the start evenly from all that fit; None takes the middle.

    Returns:
        int64 (frames,), looped where the clip is longer than the video.

    Raises:
        ValueError: a size below 1.
    """
    _check(length=length, frames=frames, stride=stride)
    last_start = _last_start(length, frames, stride)
    start = last_start // 2 if rng is None else int(rng.integers(last_start + 1))
    return (start + stride * np.arange(frames, dtype=np.int64)) % length


def uniform_segments(length: int, segments: int, rng: np.random.Generator | None) -> np.ndarray:
    """One frame from each of equal parts of the video (TSN, https://arxiv.org/abs/1608.00859).

    Args:
        length: frames of the video.
        segments: number of parts.
        rng: draws evenly inside each part; None takes the middle of each.

    Returns:
        int64 (segments,), not decreasing. A video with fewer frames than segments gives some frames to several
        neighbouring segments; nothing is looped, the order in time stays.

    Raises:
        ValueError: a size below 1.
    """
    _check(length=length, segments=segments)
    inside = np.full(segments, 0.5) if rng is None else rng.random(segments)
    places = np.floor((np.arange(segments) + inside) * length / segments).astype(np.int64)  # exact for the middles
    return np.minimum(places, length - 1)  # rounding may reach the end exactly


def test_clips(length: int, frames: int, stride: int, clips: int) -> np.ndarray:
    """Dense clips spread evenly: the first starts with the video, the last ends with it; a single one is in the middle.

    Args:
        length: frames of the video.
        frames: frames of a clip.
        stride: distance of its frames, in frames of the video.
        clips: number of clips.

    Returns:
        int64 (clips, frames), looped where a clip is longer than the video (all clips are the same then).

    Raises:
        ValueError: a size below 1.
    """
    _check(length=length, frames=frames, stride=stride, clips=clips)
    last_start = _last_start(length, frames, stride)
    if clips == 1:
        starts = np.array([last_start // 2], dtype=np.int64)
    else:
        # k * last_start / (clips - 1), rounded to the nearest in integers, halves down
        starts = (2 * np.arange(clips, dtype=np.int64) * last_start + clips - 2) // (2 * (clips - 1))
    return (starts[:, None] + stride * np.arange(frames, dtype=np.int64)) % length


test_clips.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever pytest thinks of its name


def chunks_of(length: int, frames: int, sampling: str = "all") -> tuple[np.ndarray, np.ndarray]:
    """The chunks in which the frames of a tracklet go through a network.

    Args:
        length: frames of the tracklet.
        frames: frames of a chunk.
        sampling: ``all``: every frame once. There are n = ceil(length / frames) chunks; chunk c has the frames c,
            c + n, c + 2n ..., so each one looks over the whole tracklet, as the clips that are trained on do. ``even``:
            one chunk, the middle frame of each of ``frames`` equal parts. ``first``: one chunk, the first frame of each
            part (the "dense" test of many re-ID papers).

    Returns:
        Indices int64 (n, frames), and ``valid`` bool (n, frames): where a chunk has too few frames it is filled up with
        its own ones again, which are not valid. Each frame is valid at most once.

    Raises:
        ValueError: another sampling, or sizes below 1.
    """
    if sampling not in TEST_SAMPLINGS:
        raise unknown("test sampling", sampling, TEST_SAMPLINGS)
    _check(length=length, frames=frames)
    if sampling == "all":
        count = -(-length // frames)
        chunks = [np.arange(first, length, count) for first in range(count)]
    else:
        parts = min(length, frames)
        inside = 0.5 if sampling == "even" else 0.0
        chunks = [np.floor((np.arange(parts) + inside) * (length / parts)).astype(np.int64)]
    indices = np.stack([np.resize(chunk, frames) for chunk in chunks])
    valid = np.stack([np.arange(frames) < len(chunk) for chunk in chunks])
    return indices, valid


def shortage(length: int, frames: int, stride: int, sampling: str) -> str:
    """What happens to a video that is too short for its clip.

    Args:
        length: frames of the video.
        frames: frames of the clip.
        stride: distance of its frames.
        sampling: ``dense`` or ``segments``.

    Returns:
        Half a sentence; empty where the video is long enough.
    """
    needed = frames_needed(frames, stride, sampling)
    if length >= needed:
        return ""
    again = "some are taken more than once" if sampling == "segments" else "it is played again from its start"
    return f"{length} frames, fewer than the {needed} of a clip: {again}"


def frames_needed(frames: int, stride: int, sampling: str) -> int:
    """Frames of the shortest video that gives a clip without taking a frame twice.

    Args:
        frames: Of the clip.
        stride: Distance of consecutive frames of a ``dense`` clip, in frames of the video.
        sampling: ``dense`` or ``segments``.

    Returns:
        The number of frames.
    """
    return frames if sampling == "segments" else _span(frames, stride)


def _span(frames: int, stride: int) -> int:
    """Frames from the first to the last of a clip, both included."""
    return (frames - 1) * stride + 1


def _last_start(length: int, frames: int, stride: int) -> int:
    """The last start from which the clip fits into the video; 0 where it never does."""
    return max(0, length - _span(frames, stride))


def _check(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} = {value}: expected a whole number of at least 1.")
