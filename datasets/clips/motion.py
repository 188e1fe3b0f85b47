"""Clips of motion: optical flow, or differences of frames.

Frame i of such a video is made of frames i and i + 1 of another one.

Flow is computed by OpenCV's DIS (Kroeger et al., ECCV 2016, arXiv:1603.03590) where it does not lie there as images.
Either way it comes as bytes, as TSN's tools and Inception-I3D have it: displacements in px per frame, cut off at
``BOUND``, from 0 (``-BOUND``) to 255 (``BOUND``).
"""

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cv2
import numpy as np

from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.decode import Video, open_video
from specvid.datasets.decode.flow_folder import FlowFolder, find_flow
from specvid.datasets.decode.frame_folder import FPS, FrameFolder
from specvid.datasets.decode.picture import resized_size
from specvid.errors import VideoError

BOUND = 20.0  # px per frame; larger displacements are cut off, as in TSN and Inception-I3D
SHORT_SIDE = 256  # px, of the frames that flow is computed of, at most
_SMALLEST = 12  # px, of the longer side; DIS takes no smaller frames


def open_clips(
    path: str | os.PathLike[str], spec: ClipSpec, *, files: Sequence[str] = (), folder_fps: float = FPS
) -> Video:
    """Open a video, a folder of frames or of flow images, or images, as what a network sees of it.

    Args:
        path: of the file or folder.
        spec: says which of frames, flow and differences, and what decodes them.
        files: images in their order, in place of a folder.
        folder_fps: frame rate of images, which say nothing about it.

    Returns:
        A context manager: ``video.frames(indices)`` -> uint8 (T, H, W, C), C = ``spec.channels``.

    Raises:
        VideoError: it cannot be opened, or has one frame where motion takes two.
    """
    path, share = os.fspath(path), spec.min_readable
    resize = spec.resize if spec.interpolation == "area" else None
    if files:
        images = tuple(map(os.path.abspath, files))  # relative ones would be sought in the folder
        return as_modality(FrameFolder(path, folder_fps, images, min_readable=share, resize=resize), spec)
    if spec.modality == "flow" and (pairs := find_flow(path)):
        return FlowFolder(path, folder_fps, pairs, min_readable=share)
    video = open_video(path, spec.decoder, min_readable=share, folder_fps=folder_fps, resize=resize)
    return as_modality(video, spec)


def as_modality(video: Video, spec: ClipSpec) -> Video:
    """What a network sees of an open video.

    Args:
        video: of RGB frames.
        spec: says which of frames, flow and differences.

    Returns:
        ``video`` itself, or what is computed of it; closing that closes ``video``.

    Raises:
        VideoError: it has one frame where motion takes two; ``video`` is then closed.
    """
    if spec.modality == "rgb":
        return video
    try:
        return FlowVideo(video) if spec.modality == "flow" else DifferenceVideo(video)
    except VideoError:
        video.close()
        raise


class MotionVideo(Video):
    """A video whose frame i is made of frames i and i + 1 of another one: it has one frame less.

    Each frame of the source is decoded once a request. What the source says of lost frames, it says too.

    Args:
        source: of RGB frames; closed with this one.

    Raises:
        ValueError: the source has one frame only (`VideoError`).
    """

    def __init__(self, source: Video) -> None:
        if len(source) < 2:
            raise VideoError(source.path, "has one frame: motion takes two")
        times = None if source.times is None else source.times[:-1]
        length, share = len(source) - 1, source.min_readable
        super().__init__(source.path, length, source.fps, source.size, times=times, min_readable=share)
        self.source = source

    @property
    def warning(self) -> str:
        """See `Video.warning`: of the source."""
        return self.source.warning

    @property
    def stand_ins(self) -> str:
        """See `Video.stand_ins`: of the source."""
        return self.source.stand_ins

    @property
    def unusual(self) -> str:
        """See `Video.unusual`: of the source."""
        return self.source.unusual

    def stream(self, needed: np.ndarray) -> Iterator[np.ndarray]:
        """See `Video.stream`; here frames are uint8 (H, W, C)."""
        wanted = _both(needed)
        before = np.isin(wanted - 1, needed)  # a frame of the source ends a pair
        yield from self._pairs(self.source.stream(wanted), before)

    def close(self) -> None:
        """Release the source."""
        self.source.close()

    def _decode(self, needed: np.ndarray) -> np.ndarray:
        wanted = _both(needed)
        return np.stack(list(self._pairs(iter(self.source.frames(wanted)), np.isin(wanted - 1, needed))))

    def _pairs(self, frames: Iterator[np.ndarray], ends_pair: np.ndarray) -> Iterator[np.ndarray]:
        last: np.ndarray | None = None
        for frame, ends in zip(frames, ends_pair.tolist(), strict=True):
            current = self._prepare(frame)
            if ends:
                assert last is not None
                height, width = last.shape[:2]
                same = current if current.shape == last.shape else cv2.resize(current, (width, height))
                yield self._compare(last, same)
            last = current

    @abstractmethod
    def _prepare(self, frame: np.ndarray) -> np.ndarray:
        """What is compared of a frame, uint8 (H, W, 3)."""

    @abstractmethod
    def _compare(self, frame: np.ndarray, following: np.ndarray) -> np.ndarray:
        """uint8 (H, W, C) of two prepared frames of one size."""


class FlowVideo(MotionVideo):
    """Optical flow by OpenCV's DIS (preset medium), of grey frames brought to ``SHORT_SIDE`` px where they are larger.

    Frames are uint8 (H, W, 2): to the right, downwards. Computed on one thread: OpenCV's result may depend on how many.

    Args:
        source: of RGB frames.
    """

    def __init__(self, source: Video) -> None:
        super().__init__(source)
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def _prepare(self, frame: np.ndarray) -> np.ndarray:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if max(grey.shape) < _SMALLEST:
            raise VideoError(self.path, f"is too small for optical flow: {grey.shape[1]} x {grey.shape[0]} px")
        if min(grey.shape) <= SHORT_SIDE:
            return grey
        height, width = resized_size((grey.shape[0], grey.shape[1]), SHORT_SIDE)
        return cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)

    def _compare(self, frame: np.ndarray, following: np.ndarray) -> np.ndarray:
        with _one_thread():
            return flow_bytes(self._dis.calc(frame, following, None))  # type: ignore[call-overload]


class DifferenceVideo(MotionVideo):
    """Differences of consecutive frames: (next - this) / 2 + 127.5, uint8 (H, W, 3).

    Args:
        source: of RGB frames.
    """

    def _prepare(self, frame: np.ndarray) -> np.ndarray:
        return frame

    def _compare(self, frame: np.ndarray, following: np.ndarray) -> np.ndarray:
        return cv2.addWeighted(following, 0.5, frame, -0.5, 127.5)


def flow_bytes(flow: np.ndarray) -> np.ndarray:
    """Displacements as bytes: round((v + 20) * 255 / 40), cut off at 0 and 255.

    Args:
        flow: float32 (H, W, 2), px per frame.

    Returns:
        uint8 (H, W, 2).
    """
    return cv2.addWeighted(flow, 127.5 / BOUND, flow, 0, 127.5, dtype=cv2.CV_8U)


def _both(needed: np.ndarray) -> np.ndarray:
    """The frames of the source that the frames ``needed`` are made of."""
    return np.unique(np.concatenate([needed, needed + 1]))


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = cv2.getNumThreads()
    if threads == 1:
        yield
        return
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
