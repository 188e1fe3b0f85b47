"""Which files are images, which are videos, and which are there for some other program's sake."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from specvid.datasets.layouts.reid_set import in_order

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
_VIDEO_TYPES = (
    "264 265 3g2 3gp amv asf avi divx dv f4v flv gif h264 h265 hevc ivf m1v m2ts m2v m4v mjpeg mjpg mkv mov mp4 mpe "
    "mpeg mpg mts mxf nut obu ogm ogv qt rm rmvb ts vob webm wmv y4m"
)
VIDEOS = frozenset(f".{suffix}" for suffix in _VIDEO_TYPES.split())
# They are looked for in folders; a file that is named is tried whatever it is called.

FLOW_FOLDERS = (("u", "v"), ("x", "y"))  # of images of optical flow: to the right, downwards
_FLOW_IMAGE = re.compile(r"flow_[xyuv]_\d+", re.IGNORECASE)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is no data.

    Such are ``.ipynb_checkpoints``, ``._clip.avi`` (AppleDouble, which macOS writes on foreign disks) and ``__MACOSX``
    (in its zips).

    Args:
        name: without its folder.

    Returns:
        True for these.
    """
    return name.startswith(".") or name == "__MACOSX"


def is_image(name: str) -> bool:
    """Whether a file is an image by its suffix, and not hidden.

    Args:
        name: without its folder.

    Returns:
        True for images.
    """
    return os.path.splitext(name)[1].lower() in IMAGES and not is_hidden(name)


def images_in(folder: str | os.PathLike[str]) -> tuple[str, ...]:
    """The images in a folder, in the order of the numbers in their names.

    Args:
        folder: not searched below.

    Returns:
        Their names.

    Raises:
        OSError: it cannot be listed.
        ValueError: there is none.
    """
    names = [name for name in os.listdir(folder) if is_image(name)]
    if not names:
        raise ValueError(f"{os.fspath(folder)} holds no image ({', '.join(sorted(IMAGES))})")
    return in_order(names)


def is_flow_image(name: str) -> bool:
    """Whether an image is one of optical flow by its name: ``flow_x_00001.jpg``, as TSN and mmaction2 have it.

    Args:
        name: without its folder.

    Returns:
        True for these.
    """
    return _FLOW_IMAGE.fullmatch(os.path.splitext(name)[0]) is not None


def flow_folders(folder: str | os.PathLike[str]) -> tuple[str, str] | None:
    """The two folders in a folder that hold the images of optical flow, one for each axis.

    Args:
        folder: of one video.

    Returns:
        Their names, e.g. ``u`` and ``v``; None where there are no two such folders with images in them.
    """
    for pair in FLOW_FOLDERS:
        if all(holds_images(folder, name) for name in pair):
            return pair
    return None


def holds_images(folder: str | os.PathLike[str], name: str) -> bool:
    """Whether a folder has another one in it that holds images.

    Args:
        folder: the outer one.
        name: of the inner one.

    Returns:
        True for these; False also where the inner one cannot be listed, which whoever opens it reports.
    """
    try:
        return any(map(is_image, os.listdir(os.path.join(folder, name))))
    except OSError:
        return False


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, without hidden ones.

    Args:
        folder: not searched below.

    Returns:
        The names; none where there is no such folder.
    """
    if not folder.is_dir():
        return []
    return [entry.name for entry in os.scandir(folder) if entry.is_dir() and not is_hidden(entry.name)]


def walk(top: str | os.PathLike[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """As ``os.walk``, into links to folders too, but into none that it is in already.

    Args:
        top: where it begins.

    Yields:
        A folder, the names of the folders in it, from which those to leave out can be removed, and of the files in it.
    """
    inside: dict[str, frozenset[tuple[int, int]]] = {}  # the folders that one is in, itself among them
    for folder, names, files in os.walk(top, followlinks=True):
        above, state = inside.get(os.path.dirname(folder), frozenset()), os.stat(folder)
        own = (state.st_dev, state.st_ino)
        if own in above:
            names.clear()
            continue
        inside[folder] = above | {own}
        yield folder, names, files


def hidden_below(folders: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Hidden files and folders below some folders, for a report: they are left out.

    Args:
        folders: searched to any depth.

    Returns:
        Their paths.
    """
    found = []
    for top in folders:
        for folder, names, files in walk(top):
            found += [os.path.join(folder, name) for name in (*names, *files) if is_hidden(name)]
            names[:] = [name for name in names if not is_hidden(name)]
    return sorted(found)
