"""The part of a video that a list means by seconds."""

import numpy as np

from specvid.datasets.decode import Video
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.errors import VideoError

_ROUNDING_S = 1e-6  # of a frame's time, which is a fraction of whole numbers
_SLACK_S = 1.0  # lists give ends in whole seconds, rounded up


def frames_of(video: Video, record: VideoRecord) -> tuple[int, int]:
    """The frames of a video that a record means.

    Args:
        video: the open video.
        record: with its time span, which takes the frames that begin in it.

    Returns:
        The number of the first one, and how many there are.

    Raises:
        VideoError: the span lies behind the end, or holds no frame, or the video has no frame rate.
    """
    length = len(video)
    if record.start_s == 0 and record.end_s is None:
        return 0, length
    if video.times is not None:
        times = video.times
    elif video.fps > 0:
        times = np.arange(length) / video.fps
    else:
        raise VideoError(record.path, "has no frame rate, so seconds cannot be found in it")
    end_s = np.inf if record.end_s is None else record.end_s
    first, end = np.searchsorted(times, (record.start_s - _ROUNDING_S, end_s - _ROUNDING_S)).tolist()
    if end <= first:
        raise VideoError(
            record.path,
            f"has no frame from {record.start_s:g} to {end_s:g} s; its last one begins at {times[-1]:.3f} s",
        )
    return first, end - first


def overrun(video: Video, record: VideoRecord) -> str:
    """Whether a list gives a clip an end far behind that of its video, to which it is cut.

    Args:
        video: the open video.
        record: with its time span.

    Returns:
        A part of a sentence with both ends; "" where all is well, within a second.
    """
    duration = video.timing.duration(len(video))
    if record.end_s is None or not record.end_s > duration + _SLACK_S:
        return ""
    return f"the list ends the clip at {record.end_s:g} s, the video at {duration:.3f} s"
