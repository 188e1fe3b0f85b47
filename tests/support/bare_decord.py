"""decord without what specvid adds to it."""

from pathlib import Path

import numpy as np
import pytest

from specvid.datasets import decode
from specvid.datasets.decode.opening import import_decord


def read_bare(path: Path, numbers: list[int]) -> np.ndarray:
    """Frames as decord alone gives them; skips the test where there is no decord2, or where it cannot read such a file.

    It takes the bytes of a row over its width for the channels. Where rows are padded to 128 bytes, as on a processor
    with AVX-512, those of frames 96 px wide have room for four, and it refuses them.
    """
    if not decode.has_decord():
        pytest.skip("decord2 is not installed here")
    decord = import_decord()
    try:
        frames: np.ndarray = decord.VideoReader(str(path), num_threads=1).get_batch(numbers).asnumpy()
    except decord.DECORDError as error:
        if "from_size == to_size" not in str(error):
            raise
        pytest.skip("decord2 alone cannot read frames of this width on this processor")
    return frames
