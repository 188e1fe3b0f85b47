"""Segments of frames as they come, of a camera for example: the same as of a file with these frames."""

from collections import deque
from collections.abc import Iterator

import numpy as np
import torch

from specvid.datasets.clips.motion import as_modality
from specvid.datasets.decode import Timing
from specvid.models.video_model import VideoModel
from specvid.pipelines.embed.reading import crop_frames
from specvid.pipelines.segments.classifier import ClipClassifier
from specvid.pipelines.segments.config import SegmentConfig
from specvid.pipelines.segments.files import segment_reader
from specvid.pipelines.segments.merging import Segment, SegmentMaker


class StreamingRecogniser:
    """Says what happens in frames as they are pushed; holds the frames of one window, however long it goes on.

    Each window goes through the network as a whole, as soon as its last frame is there: so every block sees what it
    sees of a file, and the segments are those that `specvid predict --window sliding` prints of a file with the same
    frames.

        recogniser = StreamingRecogniser(specvid.load("runs/snl"), fps=25, length="2s", every="1s", merge=True)
        for frame in camera:
            for segment in recogniser.push(frame):
                print(segment.start_s, segment.classes)
        print(recogniser.finish())

    Args:
        model: a model with a classifier, of which it holds a copy for inference, or a `ClipClassifier`.
        fps: frames per second.
        length: of a window: seconds (``2s``) or frames (``64``); one clip if not given.
        every: from one window to the next; half the length if not given.
        merge: put neighbouring windows of one class together.
        enter: see `SegmentConfig`.
        leave: see `SegmentConfig`.
        top: how many classes of a window are named.

    Raises:
        ValueError: an option that cannot be, or a model without a classifier.
    """

    def __init__(
        self,
        model: VideoModel | ClipClassifier,
        *,
        fps: float,
        length: str = "",
        every: str = "",
        merge: bool = False,
        enter: float | None = None,
        leave: float | None = None,
        top: int = 5,
    ) -> None:
        if not fps > 0:
            raise ValueError(f"fps {fps} must be greater than 0.")
        if top < 1:
            raise ValueError(f"top {top} must be at least 1.")
        config = SegmentConfig("sliding", length, every, merge, enter, leave, fps)
        self.classifier = model if isinstance(model, ClipClassifier) else ClipClassifier.of(model)
        self.timing = Timing(fps)
        self._planner = segment_reader(self.classifier, config).planner
        self._size, self._step = self._planner.window_frames(self.timing)
        self._maker = SegmentMaker(self.classifier.classes, self.timing, self.classifier.rule(config), top)
        self._frames: deque[np.ndarray] = deque(maxlen=self._size)  # the newest ones, cut out
        self._count = 0  # frames so far, as the network sees them
        self._next = 0  # first frame of the window that is next
        self._end = 0  # frames up to the end of the last window
        self._previous: np.ndarray | None = None  # the newest frame as it was pushed, where motion takes two
        self._finished = False

    def push(self, frames: np.ndarray) -> list[Segment]:
        """Take the next frames.

        Args:
            frames: uint8 RGB, one (H, W, 3) or several (T, H, W, 3).

        Returns:
            The segments that are complete now, mostly none.

        Raises:
            ValueError: other frames than these, or after `finish`.
        """
        if self._finished:
            raise ValueError("the stream is finished: make a new StreamingRecogniser for the next one.")
        frames = np.asarray(frames)
        if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or frames.shape[-1] != 3:
            raise ValueError(
                f"frames of shape {frames.shape} and {frames.dtype} do not fit: they must be uint8 RGB, (H, W, 3) or "
                "(T, H, W, 3)."
            )
        found: list[Segment] = []
        for frame in self._seen(frames if frames.ndim == 4 else frames[None]):
            self._frames.append(crop_frames(frame[None], self.classifier.spec)[0])
            self._count += 1
            if self._count == self._next + self._size:
                found += self._window(self._next)
                self._next += self._step
        return found

    def finish(self) -> list[Segment]:
        """End the stream: frames that are left over are in one more window, which ends with them.

        Returns:
            The segments that were not complete.
        """
        if self._finished:
            return []
        self._finished = True
        found = self._window(max(0, self._count - self._size)) if self._end < self._count else []
        return found + self._maker.close()

    def _seen(self, frames: np.ndarray) -> Iterator[np.ndarray]:
        """What the network sees of frames: themselves, or the motion from each to the next."""
        if self.classifier.spec.modality == "rgb":
            yield from frames
            return
        from specvid.pipelines.videos import FrameArray

        for frame in frames:
            if self._previous is not None:
                pair = as_modality(FrameArray(np.stack([self._previous, frame])), self.classifier.spec)
                yield pair.frames([0])[0]
            self._previous = frame.copy()

    def _window(self, first: int) -> list[Segment]:
        """The segments that are complete with the window from ``first`` to the newest frame."""
        last, oldest = self._count - 1, self._count - len(self._frames)
        clips_ct = self._planner.cover(first, last)
        clips = np.stack([np.stack([self._frames[index - oldest] for index in clip]) for clip in clips_ct.tolist()])
        self._end = self._count
        probabilities = self.classifier.probabilities(self.classifier(torch.from_numpy(clips)))
        return self._maker.add(first, last, probabilities)


def read_raw(stream: object, height: int, width: int) -> Iterator[np.ndarray]:
    """Raw frames, as ``ffmpeg -f rawvideo -pix_fmt rgb24`` writes them, from a pipe.

    Args:
        stream: with ``read(n)``, which gives less than n bytes at the end only.
        height: of a frame, px.
        width: of a frame, px.

    Yields:
        uint8 (H, W, 3).

    Raises:
        ValueError: it ends within a frame.
    """
    size = height * width * 3
    while data := stream.read(size):  # type: ignore[attr-defined]
        if len(data) < size:
            raise ValueError(
                f"the stream ends with {len(data):,} of the {size:,} bytes of a frame of {width}x{height} in rgb24: "
                "are the size and the pixel format those of --stdin?"
            )
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
