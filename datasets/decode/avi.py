"""The index of an AVI file (``idx1``), read by hand: which chunks hold pictures."""

import numpy as np


def find_chunks(data: bytes) -> np.ndarray:
    """The pictures that an AVI file with one video stream holds, by its index.

    Args:
        data: the whole file.

    Returns:
        int64, rising: where each chunk of video begins. Empty where one holds nothing, or where the index is missing,
        does not fit the file or does not cover all of it.
    """
    none = np.empty(0, np.int64)
    start, movi = data.rfind(b"idx1"), data.find(b"movi")
    size = int.from_bytes(data[start + 4 : start + 8], "little")
    riff = int.from_bytes(data[4:8], "little") + 8
    if start < 0 or movi < 0 or size % 16 or start + 8 + size > len(data) or data[riff : riff + 4] == b"RIFF":
        return none
    entries = np.frombuffer(data, "<u4", size // 4, start + 8).reshape(-1, 4)
    kind = entries[:, 0] >> 16  # the last two of the four letters: dc compressed, db plain
    entries = entries[(kind == int.from_bytes(b"dc", "little")) | (kind == int.from_bytes(b"db", "little"))]
    if not len(entries) or not entries[:, 3].all():
        return none
    offsets = entries[:, 2].astype(np.int64)  # they count from the file's start, or from the letters movi
    base = 0 if data[offsets[0] : offsets[0] + 4] == entries[0, 0].tobytes() else movi
    offsets += base
    if (offsets[1:] < offsets[:-1] + entries[:-1, 3]).any() or offsets[-1] + 8 + entries[-1, 3] > start:
        return none
    return offsets


def first_number(data: bytes) -> int:
    """The number that FFmpeg gives the first picture.

    Args:
        data: of an AVI file.

    Returns:
        ``dwStart`` of its video stream's header, nearly always 0.
    """
    at = data.find(b"vids", 12)
    return int.from_bytes(data[at + 28 : at + 32], "little") if at > 0 else 0
