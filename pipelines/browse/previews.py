"""Small moving pictures of rows, which any browser plays: never the files themselves."""

import io
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from specvid.pipelines.browse.sets import BrowsedSet, Place
from specvid.pipelines.engine.isolated import IsolatedCalls
from specvid.pipelines.search.report import frames_of

_HEIGHT, _WIDEST = 144, 384  # px
_FRAMES = 12
_MS = (60, 400)  # least and most time that a picture is shown
_WHOLE_MS = 150  # where the time is not known
_HELD = 1000  # pictures in memory
_PATIENCE = 30.0  # s for the picture of one row


class Pictures:
    """The pictures of rows: made in a process of their own, which a file may kill; the last ones are held."""

    def __init__(self) -> None:
        self._isolated = IsolatedCalls(seconds=_PATIENCE)
        self._held: OrderedDict[tuple[Place, bool], bytes] = OrderedDict()

    def close(self) -> None:
        """End the process."""
        self._isolated.__exit__()

    def of(self, one: BrowsedSet, place: Place, *, still: bool) -> bytes:
        """The picture of a row.

        Args:
            one: the data set.
            place: the row in it.
            still: one frame.

        Returns:
            A WebP file.

        Raises:
            VideoError: its file cannot be decoded.
        """
        if (place, still) in self._held:
            self._held.move_to_end((place, still))
            return self._held[place, still]
        names = ["id", "path", "start_s", "end_s", "first_frame", "last_frame"]
        (row,) = one.rows.take([place[1]], [name for name in names if name in one.columns])
        paths = one.files.files(row["id"], row["path"])
        known = row.get("first_frame") is not None and row.get("last_frame") is not None
        span = (int(row["first_frame"]), int(row["last_frame"])) if known else None
        seconds = None if row.get("start_s") is None else float(row["end_s"] - row["start_s"])
        made = self._held[place, still] = self._isolated(row["path"], preview, paths, span, seconds, still)
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        return made


def preview(paths: Sequence[str], span: tuple[int, int] | None, seconds: float | None, still: bool) -> bytes:
    """Make a picture of a row.

    Args:
        paths: a video, a folder of images, or the images of a tracklet.
        span: its first and last frame; the middle of the file where they are not known.
        seconds: that the span lasts, where that is known.
        still: only its middle frame.

    Returns:
        A WebP file, animated if there are several frames.

    Raises:
        VideoError: it cannot be decoded.
    """
    from PIL import Image

    count = 1 if still else _FRAMES
    if len(paths) > 1:
        frames = [frames_of(path, [])[0] for path in _some(paths, count)]
    elif span is None:
        frames = frames_of(paths[0], [])
    else:
        first, last = span
        numbers = np.unique(np.linspace(first, last, min(count, last - first + 1)).round().astype(int)).tolist()
        frames = frames_of(paths[0], [(first + last) // 2] if still else numbers)
    pictures = [Image.fromarray(frame) for frame in frames]
    for picture in pictures:
        picture.thumbnail((_WIDEST, _HEIGHT))
    if len({picture.size for picture in pictures}) > 1:
        pictures = [picture.resize(pictures[0].size) for picture in pictures]
    pause = _WHOLE_MS if seconds is None else round(min(max(1000 * seconds / len(pictures), _MS[0]), _MS[1]))
    file = io.BytesIO()
    moving = {"save_all": True, "append_images": pictures[1:], "duration": pause, "loop": 0} if pictures[1:] else {}
    pictures[0].save(file, "WEBP", quality=72, **moving)
    return file.getvalue()


def _some(paths: Sequence[str], count: int) -> list[str]:
    """Evenly spaced ones; of one the middle."""
    if count == 1:
        return [paths[len(paths) // 2]]
    return [paths[place] for place in np.unique(np.linspace(0, len(paths) - 1, count).round().astype(int)).tolist()]
