"""Opening a file, whatever it is called: what is recognised before FFmpeg sees it, and FFmpeg's container of it.

FFmpeg takes names for addresses: ``10:30.mp4`` is a protocol ``10`` to it, ``concat:a.mp4`` a list, ``-`` its standard
input. An absolute path is always a file. A name that is not UTF-8 cannot be handed over at all: such a file is read
through Python.
"""

import os
import re
from collections.abc import Callable
from stat import S_ISDIR, S_ISREG
from typing import Any

from specvid.datasets.decode.samples import check_samples
from specvid.errors import VideoError
from specvid.text import one_line

# Of a stream. A list or a table sets its folder before it, and pathlib makes one slash of two.
_ADDRESS = re.compile(
    r"(?:^|/)(?:[A-Za-z][A-Za-z0-9+.-]+://|(?:ftp|gs|hls|https?|mms|rtmps?|rtp|rtsps?|s3|srt|tcp|udp):/)"
)
_SLASHES = re.compile(r":/+")
_STREAM = (
    "is the address of a stream, not a file: record it first, e.g. `ffmpeg -i ADDRESS -t 60 clip.mkv`, or pipe its "
    "frames into `specvid predict --stdin WxH@FPS` (docs/segments.md)"
)


def identity(path: str) -> tuple[str, int, int]:
    """What identifies a video file; what is learnt from it is cached under this.

    Args:
        path: of the file.

    Returns:
        (path, bytes, time of change).

    Raises:
        VideoError: a file that is missing, empty, no ordinary file, or the address of a stream.
    """
    try:
        state = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        refuse_address(path)
        strerror = getattr(error, "strerror", None) or error
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({strerror})"
        raise VideoError(path, reason) from None
    if S_ISDIR(state.st_mode):
        raise VideoError(path, "is a folder, not a video file")
    if not S_ISREG(state.st_mode):
        raise VideoError(
            path, "is a camera or a pipe, not a file: record it first, e.g. `ffmpeg -i DEVICE -t 60 clip.mkv`"
        )
    if state.st_size == 0:
        raise VideoError(path, "is empty (0 bytes)")
    return path, state.st_size, state.st_mtime_ns


def refuse_address(path: str) -> None:
    """Refuse the address of a stream where a file is wanted.

    Args:
        path: what was given, which is no file.

    Raises:
        VideoError: it is one; it says what to do.
    """
    if _ADDRESS.search(path):
        raise VideoError(path, _STREAM) from None


def describe_stream(path: str) -> str:
    """The sentence about the address of a stream that stands in a list or table where a file is wanted.

    Args:
        path: what was given, which is no file; a folder may have been set before it.

    Returns:
        The address and what to do; "" of anything else.
    """
    found = _ADDRESS.search(path)
    if found is None:
        return ""
    address = _SLASHES.sub("://", path[found.start() :].lstrip("/"), count=1)
    return f"{one_line(address)} {_STREAM}"


def plain_name(path: str) -> str | None:
    """A path as a C library takes it for a file and nothing else.

    Args:
        path: of a file.

    Returns:
        The name; None where it is not UTF-8.
    """
    path = os.path.abspath(path)
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return None
    return path


class _ThroughPython:
    """A file as FFmpeg reads it without knowing its name, only how that ends."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "rb")  # noqa: SIM115 (closed with the container, see `Container`)
        self.name = "video" + os.path.splitext(path)[1].encode("ascii", "ignore").decode()
        self.read: Callable[..., bytes] = self.file.read
        self.seek, self.tell = self.file.seek, self.file.tell


class Container:
    """A ``with`` block around PyAV's input container, and its video stream.

    Args:
        path: of the video.

    Raises:
        VideoError: no video stream in it. Whatever else is wrong raises what PyAV raises.
    """

    def __init__(self, path: str) -> None:
        import av

        check_samples(*identity(path))
        name = plain_name(path)
        self._through = None if name is not None else _ThroughPython(path)
        try:
            self.container: Any = av.open(name or self._through, metadata_errors="replace")
        except BaseException:
            self._close_file()
            raise
        try:
            self.stream: Any = best_stream(self.container, path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it; a second time does nothing."""
        self.container.close()
        self._close_file()

    def _close_file(self) -> None:
        if self._through is not None:
            self._through.file.close()

    def __enter__(self) -> "Container":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def best_stream(container: Any, path: str) -> Any:
    """The video stream that a player shows: FFmpeg's best one, but never a cover picture.

    Args:
        container: PyAV's.
        path: of the video, for the message.

    Returns:
        The stream.

    Raises:
        VideoError: there is none.
    """
    import av

    no_film = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    films = [stream for stream in container.streams.video if not stream.disposition & no_film]
    if not films:
        kinds = {"a cover picture" if stream.type == "video" else stream.type for stream in container.streams}
        raise VideoError(path, f"has no video stream (it holds: {', '.join(sorted(kinds)) or 'nothing'})")
    best = container.streams.best("video")
    return best if best in films else films[0]
