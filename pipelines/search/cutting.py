"""The answers of a search as clips: the frames of each row as a file of its own."""

import os
from collections.abc import Sequence
from pathlib import Path

from specvid.datasets.decode import open_video
from specvid.datasets.decode.copying import copy_frames
from specvid.datasets.layouts.media import IMAGES
from specvid.errors import VideoError
from specvid.files import replacing_file
from specvid.pipelines.engine.isolated import IsolatedCalls
from specvid.pipelines.search.found_row import FoundRow

_PATIENCE = 3600.0  # s that one clip may take


def cut_clips(rows: Sequence[FoundRow], out: str | os.PathLike[str]) -> tuple[list[Path], list[str]]:
    """Write the frames of rows as ``out/RANK_NAME_FIRST-LAST.mp4``, without sound.

    Args:
        rows: of an `Answer`.
        out: the folder; files of the same names in it are replaced.

    Returns:
        The files, and a sentence on each row that cannot be cut out.
    """
    files, problems = [], []
    digits = len(str(len(rows)))
    with IsolatedCalls(seconds=_PATIENCE) as isolated:  # a data set may name files that kill their decoder
        for row in rows:
            path, first, last = row.file, row.columns["first_frame"], row.columns["last_frame"]
            try:
                if first is None or os.path.splitext(path)[1].lower() in IMAGES:
                    raise VideoError(path, "is a row of images or features, not of a video: it has no clip")
                name = f"{row.rank:0{digits}}_{Path(path).stem}_{first}-{last}.mp4"
                isolated(path, _cut, path, first, last, Path(out) / name)
                files.append(Path(out) / name)
            except ValueError as error:
                problems.append(str(error))
    return files, problems


def _cut(path: str, first: int, last: int, target: Path) -> None:
    with open_video(path) as video, replacing_file(target) as file:
        if last >= len(video):
            raise VideoError(
                path, f"has {len(video)} frames, and the row ends at frame {last}: it is another video now"
            )
        copy_frames(video, file, first, last)
