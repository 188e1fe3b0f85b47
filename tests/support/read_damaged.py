"""What tests run in other processes: reading damaged files, which might hang, and a decoder that crashes."""

import os
from collections.abc import Sequence
from itertools import pairwise
from multiprocessing import Queue
from pathlib import Path

import numpy as np

from specvid.datasets.decode import open_video
from specvid.errors import VideoError
from specvid.tools.data.verify import FileReport


def read_all(paths: Sequence[Path], results: "Queue[str]") -> None:
    """Puts one text per file: empty where it was read, each repeated frame named, or refused in one clear line."""
    rng = np.random.default_rng(1)
    for path in paths:
        outcome, at = "", rng.random()  # drawn before anything is refused: the same frames whatever others are
        try:
            with open_video(path) as video:
                start = int(at * len(video))
                indices = np.unique(np.minimum(start + np.arange(0, 160, 10), len(video) - 1))
                frames = video.frames(indices)
            repeated = sum(np.array_equal(a, b) for a, b in pairwise(frames))
            if repeated and not video.stand_ins:
                outcome = f"{path.name}: {repeated} repeated of {indices}"
        except VideoError as error:
            if "\n" in str(error) or not str(error).startswith(f"{path}: "):
                outcome = repr(error)
        except Exception as error:
            outcome = f"{path.name}: {error!r}"
        results.put(outcome)


def verify_or_die(paths: list[str], images: bool, min_readable: float) -> list[FileReport]:
    """In place of `verify.verify_task`: a process that gets clip ``g02`` of Archery is gone, without a word."""
    if paths[0].endswith("Archery/v_Archery_g02_c01.avi"):
        os._exit(11)
    return [FileReport(path, 20) for path in paths]
