"""Small pictures for a page, as data addresses: clips that move (frames side by side), frames of tracklets.

Files are decoded in another process, as one of them may kill its decoder. A budget of bytes and seconds keeps the page
small and its making short; what comes when it is used up has no picture, and `Pictures.left_out` counts it.
"""

import base64
import io
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from specvid.datasets.clips.spans import frames_of
from specvid.datasets.decode import open_video
from specvid.datasets.decode.images import read_frame
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.errors import VideoError
from specvid.pipelines.engine.isolated import IsolatedCalls
from specvid.text import one_line, printable_path

_FRAMES, _CLIP_HEIGHT, _CLIP_WIDTH = 8, 84, 150
_TRACKLET_HEIGHT, _TRACKLET_WIDTH = 84, 84
_TOGETHER = 32  # pictures read in one call


class Pictures:
    """A ``with`` block in which pictures are made.

    Args:
        size: budget, bytes of the page.
        seconds: budget, from now.
    """

    def __init__(self, *, size: int, seconds: float) -> None:
        self._left, self._until = size, time.monotonic() + seconds
        self._isolated = IsolatedCalls(seconds=60)
        self.left_out = 0
        self.errors: list[str] = []

    @property
    def has_room(self) -> bool:
        """Whether there is something left of the budget."""
        return self._left > 0 and time.monotonic() < self._until

    def clip(self, record: VideoRecord) -> dict[str, Any] | None:
        """A clip as frames side by side.

        Args:
            record: what to read.

        Returns:
            ``{"u": address, "n": frames, "w": width, "h": height of one}``; None without room, or where it cannot be
            read.
        """
        if not self.has_room:
            self.left_out += 1
            return None
        try:
            data, count, width, height = self._isolated(str(record.path), _clip_strip, record)
        except (VideoError, ValueError, OSError) as error:
            self._note(error)
            return None
        return {"u": self._address(data, "webp"), "n": count, "w": width, "h": height}

    def frames(self, paths: Sequence[Path]) -> list[str | None]:
        """Image files, each as a small picture.

        Args:
            paths: the files.

        Returns:
            An address each; None without room, or where it cannot be read.
        """
        found: list[str | None] = []
        for start in range(0, len(paths), _TOGETHER):
            part = list(map(str, paths[start : start + _TOGETHER]))
            if not self.has_room:
                self.left_out += len(part)
                found += [None] * len(part)
                continue
            for data in self._read(part):
                if isinstance(data, str):
                    self._note(data)
                found.append(None if isinstance(data, str) else self._address(data, "webp"))
        return found

    def _read(self, paths: list[str]) -> list[bytes | str]:
        """Each file's picture, or why there is none; where they kill the process together, one by one."""
        try:
            return self._isolated(paths[0], _small_pictures, paths)
        except VideoError as error:
            return [str(error)] if len(paths) == 1 else [own for path in paths for own in self._read([path])]

    def _address(self, data: bytes, kind: str) -> str:
        address = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        self._left -= len(address)
        return address

    def _note(self, error: object) -> None:
        self.errors.append(one_line(printable_path(str(error)))[:200])

    def __enter__(self) -> "Pictures":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._isolated.__exit__(kind, error, traceback)


def side_by_side(frames: Sequence[np.ndarray], *, height: int, width: int, quality: int = 60) -> tuple[bytes, int, int]:
    """Frames side by side as one WebP picture.

    Args:
        frames: uint8 (H, W, 3) each, of one size.
        height: of one at most, px.
        width: of one at most, px.
        quality: of the compression, 0 to 100.

    Returns:
        The picture, and width and height of a frame in it.
    """
    full_height, full_width = frames[0].shape[:2]
    scale = min(height / full_height, width / full_width)
    size = max(1, round(full_width * scale)), max(1, round(full_height * scale))
    sheet = Image.new("RGB", (size[0] * len(frames), size[1]))
    for i, frame in enumerate(frames):
        sheet.paste(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR), (i * size[0], 0))
    file = io.BytesIO()
    sheet.save(file, "WEBP", quality=quality, method=2)
    return file.getvalue(), *size


def _clip_strip(record: VideoRecord) -> tuple[bytes, int, int, int]:
    """Frames of a clip, spread evenly."""
    with open_video(str(record.path)) as video:
        first, length = frames_of(video, record)
        numbers = np.unique(np.linspace(first, first + length - 1, min(_FRAMES, length)).round().astype(int))
        frames = list(video.frames(numbers.tolist()))
    data, width, height = side_by_side(frames, height=_CLIP_HEIGHT, width=_CLIP_WIDTH)
    return data, len(frames), width, height


def _small_pictures(paths: Sequence[str]) -> list[bytes | str]:
    """Image files as small pictures, or why they are none."""
    found: list[bytes | str] = []
    for path in paths:
        try:
            frame = np.ascontiguousarray(read_frame(path))
            found.append(side_by_side([frame], height=_TRACKLET_HEIGHT, width=_TRACKLET_WIDTH, quality=70)[0])
        except (VideoError, ValueError, OSError) as error:
            found.append(str(error))
    return found
