"""Checksums of the files of an index: an altered file answers wrongly, or ends the process, so it is not opened."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np

_BLOCK = 16 * 2**20  # bytes
_MOST_BLOCKS = 16  # that are read again when a file is opened: all of a small one, the ends and a sample of a large one


def checksums(path: Path) -> dict[str, Any]:
    """What is written down of a file.

    Args:
        path: the file.

    Returns:
        Its ``bytes``, and ``crc32`` of each of its blocks of 16 MiB.
    """
    with path.open("rb") as file:
        sums = [zlib.crc32(block) for block in iter(lambda: file.read(_BLOCK), b"")]
    return {"bytes": path.stat().st_size, "crc32": sums}


def is_as_written(path: Path, written: Any) -> bool:
    """Whether a file is still the one that was written.

    Args:
        path: the file; it may be gone.
        written: from `checksums`, as the file beside it says.
    """
    sums = written.get("crc32") if isinstance(written, dict) else None
    if not isinstance(sums, list) or not path.is_file() or path.stat().st_size != written.get("bytes"):
        return False
    if len(sums) != -(-path.stat().st_size // _BLOCK):
        return False
    with path.open("rb") as file:
        for number in np.unique(np.linspace(0, len(sums) - 1, min(_MOST_BLOCKS, len(sums))).astype(int)).tolist():
            file.seek(number * _BLOCK)
            if zlib.crc32(file.read(_BLOCK)) != sums[number]:
                return False
    return True
