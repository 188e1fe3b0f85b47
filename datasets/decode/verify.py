"""Does a file decode completely? Every frame is decoded, none converted: the answer of ``specvid data check``."""

import os
from dataclasses import dataclass

import numpy as np

from specvid.datasets.decode.base import MIN_READABLE
from specvid.datasets.decode.flow_folder import open_folder
from specvid.datasets.decode.index import frame_index
from specvid.datasets.decode.survey import survey
from specvid.errors import VideoError


@dataclass(frozen=True)
class Verified:
    """A video that can be used.

    Args:
        frames: how many it has.
        warning: about lost, repaired or resized ones; empty where all is as the file announces.
        lost: numbers of those that cannot be decoded; the nearest ones stand in for them.
    """

    frames: int
    warning: str
    lost: tuple[int, ...] = ()


def verify_video(path: str | os.PathLike[str], min_readable: float = MIN_READABLE) -> Verified:
    """Decode a video, or a folder of frames, to its last frame.

    Args:
        path: of the video.
        min_readable: share of its frames that must decode, as for a clip that wants all of them.

    Returns:
        How many frames it has, and the warnings about them.

    Raises:
        VideoError: it cannot be opened, or too many of its frames cannot be decoded.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        with open_folder(path, min_readable=min_readable) as folder:
            for _ in folder.stream(np.arange(len(folder))):
                pass
            return Verified(len(folder), folder.warning)
    index = frame_index(path)
    found = index.survey or survey(path, index.packet_times)
    lost = np.setdiff1d(np.arange(index.length), found.places)
    warnings = [index.warning()]
    if len(lost):
        reason = found.reason or "no frame comes"
        what = (
            f"{len(lost)} of {index.length} frames cannot be decoded, the first is frame {lost[0]} "
            f"({index.header.codec}: {reason})"
        )
        if len(lost) > (1 - min_readable) * index.length + 1e-9:
            raise VideoError(path, f"is damaged: {what}")
        warnings.append(what)
    if found.mended:
        warnings.append(f"{found.mended} of {index.length} frames contain errors, FFmpeg mended them")
    return Verified(index.length, "; ".join(warning for warning in warnings if warning), tuple(lost.tolist()))
