"""Which frames of a tracklet are tested: index arithmetic only.

Training draws one frame from each of T equal parts: `specvid.datasets.clips.sampling.uniform_segments`.
"""

import numpy as np

from specvid.errors import unknown

TEST_SAMPLINGS = ("all", "even", "first")


def chunks_of(length: int, frames: int, sampling: str = "all") -> tuple[np.ndarray, np.ndarray]:
    """The chunks of ``frames`` frames in which a tracklet of ``length`` frames goes through a network.

    ``all``: every frame once. There are n = ceil(length / frames) chunks; chunk c has the frames c, c + n, c + 2n ...,
    so each one looks over the whole walk, as the clips that are trained on do. ``even``: one chunk, the middle frame of
    each of ``frames`` equal parts. ``first``: one chunk, the first frame of each part (the "dense" test of many re-ID
    papers).

    Returns: indices int64 (n, frames) and ``valid`` bool (n, frames): where a chunk has too few frames it is filled up
    with its own ones again, which are not valid. Each frame is valid at most once. ``ValueError`` for another sampling
    or sizes < 1.
    """
    if sampling not in TEST_SAMPLINGS:
        raise unknown("test sampling", sampling, TEST_SAMPLINGS)
    for name, value in (("length", length), ("frames", frames)):
        if value < 1:
            raise ValueError(f"{name} = {value}: expected a whole number of at least 1")
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
