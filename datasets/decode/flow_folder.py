"""A folder of images of optical flow as a video: an image for each axis and frame, displacements as bytes.

``flow_x_00001.jpg`` and ``flow_y_00001.jpg`` (TSN, mmaction2), ``x_00001.jpg`` and ``y_00001.jpg`` (or ``u``, ``v``),
or images of equal names in the folders ``u`` and ``v`` (or ``x`` and ``y``).
"""

import os
import re
from collections.abc import Iterator, Sequence

import numpy as np

from specvid.datasets.decode.base import MIN_READABLE, Video
from specvid.datasets.decode.frame_folder import FPS, FrameFolder, describe_gaps
from specvid.datasets.layouts.media import FLOW_FOLDERS, flow_folders, holds_images, is_image
from specvid.datasets.layouts.reid_set import in_order
from specvid.errors import VideoError

_NAME = re.compile(r"(flow_)?([xyuv])(_\d+)")
_PARTNER = {"x": "y", "y": "x", "u": "v", "v": "u"}

Pairs = Sequence[tuple[str, str]]
"""The images of each frame, to the right and downwards, relative to the folder."""


class FlowFolder(Video):
    """Images of optical flow as frames, uint8 (H, W, 2): to the right, downwards.

    Args:
        path: the folder.
        fps: frames per second.
        pairs: from `find_flow`.
        min_readable: see `Video`.
    """

    def __init__(self, path: str, fps: float = FPS, pairs: Pairs = (), *, min_readable: float = MIN_READABLE) -> None:
        super().__init__(path, len(pairs), fps, (0, 0), min_readable=min_readable)
        self.pairs = pairs
        self._add_warning(describe_gaps([name for name, _ in pairs]))
        self.axes = [FrameFolder(path, fps, names, min_readable=min_readable) for names in zip(*pairs, strict=True)]

    @property
    def warning(self) -> str:
        """See `Video.warning`: of both axes."""
        return "; ".join([*self._warnings.values(), *filter(None, (axis.warning for axis in self.axes))])

    @property
    def stand_ins(self) -> str:
        """See `Video.stand_ins`: of both axes."""
        return "; ".join(filter(None, (axis.stand_ins for axis in self.axes)))

    @property
    def unusual(self) -> str:
        """See `Video.unusual`: of both axes."""
        return "; ".join([*self._warnings.values(), *filter(None, (axis.unusual for axis in self.axes))])

    def stream(self, needed: np.ndarray) -> Iterator[np.ndarray]:
        """See `Video.stream`; here frames are uint8 (H, W, 2)."""
        both = zip(needed.tolist(), *(axis.stream(needed) for axis in self.axes), strict=True)
        for number, x, y in both:
            yield self._join(x, y, number)

    def _decode(self, needed: np.ndarray) -> np.ndarray:
        x, y = (axis.frames(needed) for axis in self.axes)
        return self._join(x, y, int(needed[0]))

    def _join(self, x: np.ndarray, y: np.ndarray, number: int) -> np.ndarray:
        if x.shape != y.shape:
            (width, height), (other, another) = ((image.shape[-2], image.shape[-3]) for image in (x, y))
            names = self.pairs[number]
            raise VideoError(
                self.path, f"{names[0]} has {width} x {height} px and {names[1]} has {other} x {another} px"
            )
        return np.stack([x[..., 0], y[..., 0]], axis=-1)


def open_folder(path: str | os.PathLike[str], *, min_readable: float = MIN_READABLE) -> Video:
    """Open a folder for checks that hold for any network: as frames, or as flow where it holds nothing else.

    Args:
        path: of the folder.
        min_readable: see `Video`.

    Returns:
        A context manager.

    Raises:
        VideoError: the folder holds neither, or an image of flow has no partner.
    """
    path = os.fspath(path)
    try:
        return FrameFolder(path, min_readable=min_readable)
    except VideoError:
        if pairs := find_flow(path):
            return FlowFolder(path, pairs=pairs, min_readable=min_readable)
        raise


def find_flow(path: str) -> Pairs:
    """The images of optical flow in a folder.

    Args:
        path: of anything.

    Returns:
        The pairs, in the order of the numbers in their names; none where there are no such images, or no folder.

    Raises:
        VideoError: an image has no partner.
    """
    if not os.path.isdir(path):
        return ()
    try:
        names = [name for name in os.listdir(path) if is_image(name)]
        if folders := flow_folders(path):
            return _in_folders(path, *folders)
        if not names and (lone := [name for pair in FLOW_FOLDERS for name in pair if holds_images(path, name)]):
            raise VideoError(path, f"has a folder {lone[0]}/ of images, but no {_PARTNER[lone[0]]}/ beside it")
    except OSError as error:
        raise VideoError(path, f"cannot be listed ({error.strerror})") from None
    found = {
        (match[1] or "", match[2], match[3]): name
        for name in names
        if (match := _NAME.fullmatch(os.path.splitext(name)[0].lower()))
    }
    if any(start for start, _, _ in found):
        found = {stem: name for stem, name in found.items() if stem[0]}
    elif not any(set(pair) <= {axis for _, axis, _ in found} for pair in FLOW_FOLDERS):
        return ()  # frames whose names begin with a letter
    pairs = {}
    for (start, axis, number), name in found.items():
        partner = found.get((start, _PARTNER[axis], number))
        if partner is None:
            suffix = os.path.splitext(name)[1]
            raise VideoError(path, f"{name} has no partner {start}{_PARTNER[axis]}{number}{suffix}")
        if axis in "xu":
            pairs[name] = partner
    return [(name, pairs[name]) for name in in_order(list(pairs))]


def _in_folders(path: str, x: str, y: str) -> Pairs:
    """The pairs of two folders."""
    one, two = (
        {os.path.splitext(name)[0]: name for name in os.listdir(os.path.join(path, folder)) if is_image(name)}
        for folder in (x, y)
    )
    alone = sorted(one.keys() ^ two.keys())
    if alone:
        here, there = (x, y) if alone[0] in one else (y, x)
        raise VideoError(
            path,
            f"{x}/ has {len(one)} images and {y}/ {len(two)}: "
            f"{here}/{(one | two)[alone[0]]} has no partner in {there}/",
        )
    order = in_order(list(one.values()))
    return [(f"{x}/{name}", f"{y}/{two[os.path.splitext(name)[0]]}") for name in order]
