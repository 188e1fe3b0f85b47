"""AVI (RIFF): chunks of four letters, a length and so many bytes; an index (``idx1``) of all of them at the end."""

import re

import numpy as np

from specvid.datasets.decode.structure.walk import WALKS, Breaks, Bytes, Structure

_LETTERS = re.compile(rb"[A-Za-z0-9_ ]{4}")
_VIDEO = re.compile(rb"\d\d(?:dc|db)")
_NEXT = re.compile(rb"\d\d(?:dc|db|wb)|ix\d\d|idx1|LIST|RIFF")
_ENTERED = (b"movi", b"rec ")  # lists whose chunks are looked at


@WALKS.register("avi")
def walk_avi(data: Bytes) -> Structure:
    """Walk through the chunks; where they do not follow one another, look up in the index what was there.

    The length of the whole file is checked where its header is read.

    Args:
        data: the file.
    """
    breaks, size = Breaks(), len(data)
    at = end = chunks = 0
    while at < size - 8:
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at >= end and at and name != b"RIFF":  # whatever stands behind the last part of the file
            break
        behind = at + 8 + length
        if name == b"RIFF":
            end, at = behind if length else size, at + 12
        elif name == b"LIST" and data[at + 8 : at + 12] in _ENTERED:
            at += 12
        elif _LETTERS.fullmatch(name) and behind <= size:
            chunks += _VIDEO.fullmatch(name) is not None
            at = behind + (behind & 1)
            if (
                behind & 1
                and not _LETTERS.fullmatch(data[at : at + 4])
                and _LETTERS.fullmatch(data[behind : behind + 4])
            ):
                at = behind  # written without the byte that makes a length even
        elif behind > size and _LETTERS.fullmatch(name) and end > size:
            break  # the file is cut off in this one
        else:
            if not breaks.note(at):
                break
            found = _NEXT.search(data, at + 1)
            at = found.start() if found else size
    return Structure("", tuple(breaks), _pictures(data) if breaks else None, chunks)


def _pictures(data: Bytes) -> np.ndarray | None:
    """Where packets of pictures begin by the index; None where that is not there, or there is more than one video."""
    start, movi = data.rfind(b"idx1"), data.find(b"movi")
    size = int.from_bytes(data[start + 4 : start + 8], "little")
    if start < 0 or not 0 <= movi < start or not size or size % 16 or start + 8 + size > len(data):
        return None
    entries = np.frombuffer(data[start + 8 : start + 8 + size], "<u4").reshape(-1, 4)
    kinds = np.isin(entries[:, 0] >> 16, [int.from_bytes(two, "little") for two in (b"dc", b"db")])
    entries = entries[kinds & (entries[:, 3] > 0)]
    if len(np.unique(entries[:, 0] & 0xFFFF)) != 1:
        return None
    offsets = entries[:, 2].astype(np.int64)  # they count from the file's start, or from the letters movi
    base = 0 if offsets[0] > movi else movi
    return np.unique(offsets + base + 8)
