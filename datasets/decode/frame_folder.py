"""A folder of images as a video, wherever a video file is taken: ``img_00001.jpg``, ``img_00002.jpg`` ..."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from specvid.datasets.decode.base import MIN_READABLE, Video
from specvid.datasets.decode.images import read_frame, reduce, stack
from specvid.datasets.layouts.media import IMAGES, flow_folders, images_in, is_flow_image
from specvid.errors import VideoError
from specvid.text import counted

FPS = 25.0  # of images, which say nothing about it
_NUMBER = re.compile(r"(.*?)(\d+)\D*")
_FLOW = "holds images of optical flow alone: they are for networks of --modality flow"


class FrameFolder(Video):
    """Images as the frames of a video, in the order of the numbers in their names, whatever the first number is.

    Images of optical flow beside them (``flow_x_00001.jpg``) are no frames.

    Args:
        path: the folder; "" where ``files`` are given.
        fps: frames per second.
        files: the images, in their order; else all in the folder.
        min_readable: see `Video`.
        resize: see `open_video`.

    Raises:
        VideoError: the folder cannot be listed, or holds no image.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: float = FPS,
        files: Sequence[str] = (),
        *,
        min_readable: float = MIN_READABLE,
        resize: int | tuple[int, int] | None = None,
    ) -> None:
        self.names = tuple(files) or _images_in(os.fspath(path))
        super().__init__(path, len(self.names), fps, (0, 0), min_readable=min_readable)
        self._resize, self._are_crops = resize, bool(files)
        if not files:
            self._add_warning(describe_gaps(self.names))

    def _decode(self, needed: np.ndarray) -> np.ndarray:
        frames = list(self.stream(needed))
        return stack(frames, frames[0].shape[:2])

    def stream(self, needed: np.ndarray) -> Iterator[np.ndarray]:
        """See `Video.stream`; here frames may differ in size."""
        lost: dict[int, str] = {}
        sizes: dict[tuple[int, ...], int] = {}
        for number in needed.tolist():
            frame = self._read(number, lost)
            if frame is None:
                wanted = sorted(lost.keys() & set(needed.tolist()))
                self._stand_in(wanted, len(needed), lost[wanted[0]], about=f"images {id(lost)}")
                frame = self._nearest(number, lost)
            sizes[frame.shape[:2]] = number
            if len(sizes) > 1 and not self._are_crops:  # boxes of a tracker are of any size
                height, width = next(iter(sizes))
                self._warnings["sizes"] = f"its images have {len(sizes)} sizes: brought to {width} x {height} px"
            yield frame

    def _read(self, number: int, lost: dict[int, str]) -> np.ndarray | None:
        """A frame; None, and the reason among the ``lost``, where it cannot be read."""
        if number not in lost:
            try:
                return reduce(read_frame(os.path.join(self.path, self.names[number])), self._resize)
            except VideoError as error:
                lost[number] = f"{self.names[number]}: {error.reason}"
        return None

    def _nearest(self, number: int, lost: dict[int, str]) -> np.ndarray:
        """The frame nearest to one that cannot be read, the earlier of two."""
        for distance in range(1, len(self)):
            for other in (number - distance, number + distance):
                if 0 <= other < len(self) and (frame := self._read(other, lost)) is not None:
                    return frame
        raise VideoError(self.path, f"none of its images can be read, e.g. {lost[number]}")


def describe_gaps(names: Sequence[str]) -> str:
    """The sentence about numbers that are missing in the names of frames.

    Args:
        names: in their order.

    Returns:
        "" where the numbers rise by the same step, or are not what the names differ by.
    """
    found = [_NUMBER.fullmatch(os.path.splitext(name)[0]) for name in names]
    if len({match[1] if match else None for match in found}) != 1 or found[0] is None:
        return ""
    numbers = [int(match[2]) for match in found if match]
    steps = [after - before for before, after in pairwise(numbers)]
    if not steps or min(steps) < 1:
        return ""
    usual, often = max(sorted(Counter(steps).items()), key=lambda one: one[1])
    gaps = [place for place, step in enumerate(steps) if step > usual]
    if not gaps or (usual > 1 and 2 * often < len(steps)):  # times, for example
        return ""
    missing = sum((steps[place] - 1) // usual for place in gaps)
    first = f"{names[gaps[0]]} is followed by {names[gaps[0] + 1]}"
    return f"the numbers of its images have {counted(len(gaps), 'gap')}, {missing} are missing: {first}"


def _images_in(folder: str) -> tuple[str, ...]:
    try:
        names = tuple(name for name in images_in(folder) if not is_flow_image(name))
        if not names:
            raise VideoError(folder, _FLOW)
        return names
    except OSError as error:
        raise VideoError(folder, f"cannot be listed ({error.strerror})") from None
    except VideoError:
        raise
    except ValueError:
        if flow_folders(folder):
            raise VideoError(folder, _FLOW) from None
        raise VideoError(folder, f"is a folder without images in it ({', '.join(sorted(IMAGES))})") from None
