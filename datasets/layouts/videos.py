"""A folder of videos without labels: every video file in it, and every folder of images, at any depth."""

import os
from pathlib import Path

from specvid.datasets.layouts.action_set import VideoRecord
from specvid.datasets.layouts.base import no_folder
from specvid.datasets.layouts.media import VIDEOS, flow_folders, is_hidden, is_image
from specvid.datasets.layouts.reid_set import in_order


def find_videos(root: str | os.PathLike[str]) -> list[VideoRecord]:
    """The videos below a folder, without classes.

    Args:
        root: the folder; links are followed, but no folder twice.

    Returns:
        A record each, in the order of their names; hidden ones are left out.

    Raises:
        ValueError: it is no folder, cannot be listed, or has no video in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise no_folder(root, "a folder with videos in it, at any depth")
    names: list[str] = []
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, onerror=_refuse, followlinks=True):
        state = os.stat(folder)
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        axes = flow_folders(folder) or ()
        folders[:] = sorted(name for name in folders if not is_hidden(name) and name not in axes)
        place = Path(folder).relative_to(root)
        if axes or any(map(is_image, files)):
            names.append(str(place))
        names += [
            str(place / name) for name in files if os.path.splitext(name)[1].lower() in VIDEOS and not is_hidden(name)
        ]
    if not names:
        raise ValueError(f"{root} has no video in it: neither video files nor folders of images, at any depth.")
    return [VideoRecord(root / name, name, -1) for name in in_order(names)]


def _refuse(error: OSError) -> None:
    raise ValueError(f"{error.filename} cannot be listed ({error.strerror}).")
