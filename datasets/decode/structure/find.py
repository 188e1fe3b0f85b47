"""The structure of any file."""

import mmap
from dataclasses import replace
from functools import lru_cache

from specvid.datasets.decode.opening import identity
from specvid.datasets.decode.probe import probe
from specvid.datasets.decode.structure import asf, avi, matroska, mpeg, others
from specvid.datasets.decode.structure.walk import WALKS, Structure

assert asf and avi and matroska and mpeg and others  # they register their walks


def find_structure(path: str) -> Structure:
    """Walk through the parts of a file; the result is cached per path, size and time of change.

    Args:
        path: of the file.

    Returns:
        What they show; only the cut of containers whose parts do not say how long they are.

    Raises:
        VideoError: the file cannot be used.
    """
    return _find_structure(*identity(path))


@lru_cache(maxsize=65536)
def _find_structure(path: str, size: int, mtime_ns: int) -> Structure:
    header = probe(path)
    walk = WALKS.get(header.container)
    if walk is None:
        return Structure(header.cut)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = walk(data)
    return replace(found, cut=header.cut or found.cut)
