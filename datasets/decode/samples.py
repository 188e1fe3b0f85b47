"""How many samples the tables of an MP4 or MOV file claim, held against its bytes before FFmpeg sees it.

FFmpeg makes an entry in memory for each sample that is claimed. Tables run in lengths ("85 million samples of one
byte"), so that a file of a kB can take gigabytes, and minutes. In a sound file a sample has bytes of its own.

A file is boxes: 4 bytes of length, 4 of type, content. FFmpeg finds a table in whatever box it lies, so they are
looked for by their types in all of a box at the top that may hold any; those between two ``trak`` are one track's.
"""

import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from specvid.errors import VideoError

_HEADERS = (b"moov", b"hoov", b"moof", b"traf", b"trak", b"free", b"skip", b"uuid", b"udta", b"meta", b"mvex", b"wide")
_TABLE = re.compile(rb"trak|hdlr|stsz|stz2|stts|ctts|stsc|stco|co64|elst|trun|cmvd")
_TYPE = re.compile(rb"[A-Za-z0-9 _\xa9-]{4}")
_FEW = 2**18  # samples that no file is refused for
_BYTES = 2  # of a sample at least, over a whole file: sound of 16 bits
_EDITS = 16  # times that an edit list may show the samples
_AT_ONCE = 1024  # samples of plain sound that FFmpeg takes as one
_UNPACKED = 2**26  # bytes of a header that is stored compressed


@dataclass
class _Track:
    """What the tables of a track claim; of a table that comes twice, the larger claim.

    Attributes:
        samples: of the table of sizes.
        timed: likewise of those of times.
        in_chunks: of each of chunks: (first chunk, samples in each from there on).
        chunks: how many.
        edits: entries of the edit list.
        handlers: what kind of track it says it is.
        plain: times are one entry, each sample of length 1: sound without compression.
    """

    samples: int = 0
    timed: int = 0
    in_chunks: list[list[tuple[int, int]]] = field(default_factory=list)
    chunks: int = 0
    edits: int = 0
    handlers: set[bytes] = field(default_factory=set)
    plain: list[bool] = field(default_factory=list)

    def entries(self) -> int:
        """Entries that FFmpeg makes of them."""
        pieces = 0
        if b"soun" in self.handlers and any(self.plain):
            pieces = self.chunks + max(map(self._pieces, self.in_chunks), default=0)
            if b"vide" not in self.handlers and len(self.plain) == 1:
                return pieces
        return max(self.samples, self.timed, pieces)

    def _pieces(self, in_chunks: list[tuple[int, int]]) -> int:
        """What plain sound is cut into."""
        ends = [first for first, _ in in_chunks[1:]] + [self.chunks + 1]
        return sum(
            max(0, min(end, self.chunks + 1) - first) * (each // _AT_ONCE)
            for (first, each), end in zip(in_chunks, ends, strict=True)
        )


@lru_cache(maxsize=65536)
def check_samples(path: str, size: int, mtime_ns: int) -> None:
    """Refuse an MP4 or MOV file that claims more samples than its bytes can be. Once per file and process.

    Args:
        path: of any video.
        size: bytes of it.
        mtime_ns: when it was changed, for the cache.

    Raises:
        VideoError: it does; or it cannot be read.
    """
    most = _FEW + size // _BYTES
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            claimed = edited = 0
            for entries, shown in _claims(data, size):
                claimed, edited = claimed + entries, edited + shown
                if claimed > most or edited > _EDITS * most:
                    raise VideoError(
                        path, f"claims {max(claimed, edited):,} samples in {size:,} bytes: a header that nobody wrote"
                    )
    except OSError as error:
        raise VideoError(path, f"cannot be read ({error.strerror})") from None


def _claims(data: Any, size: int) -> Iterator[tuple[int, int]]:
    """Samples of each track or fragment, and of them as often as edits show them."""
    start = 0
    while start + 8 <= size:
        length, kind = struct.unpack_from(">I4s", data, start)
        if not _TYPE.fullmatch(kind):
            return
        if length == 1 and start + 16 <= size:
            (length,) = struct.unpack_from(">Q", data, start + 8)
        end = min(size, start + length) if length else size
        if kind in _HEADERS:
            yield from _claims_of(data, start + 4, end)
        if end < start + 8:
            return
        start = end


def _claims_of(data: Any, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Of the tables in a part of the file."""
    track = _Track()
    for found in _TABLE.finditer(data, start, end):
        kind, at = found[0], found.end()
        if kind == b"trak":
            yield track.entries(), track.entries() * track.edits
            track = _Track()
        elif kind == b"trun":
            yield _number(data, at + 4), 0
        elif kind == b"cmvd":
            with suppress(zlib.error):
                unpacked = zlib.decompressobj().decompress(data[at + 4 : end], _UNPACKED)
                yield from _claims_of(unpacked, 0, len(unpacked))
        else:
            _read_table(track, kind, data, at)
    yield track.entries(), track.entries() * track.edits


def _read_table(track: _Track, kind: bytes, data: Any, at: int) -> None:
    """Add what a table claims; it may end with the file."""
    if kind == b"hdlr":
        track.handlers.add(bytes(data[at + 8 : at + 12]))
    elif kind in (b"stsz", b"stz2"):
        track.samples = max(track.samples, _number(data, at + 8))
    elif kind in (b"stco", b"co64"):
        track.chunks = max(track.chunks, len(_rows(data, at, 1 if kind == b"stco" else 2)))
    elif kind == b"elst":
        track.edits = max(track.edits, len(_rows(data, at, 3)))
    elif kind == b"stsc":
        track.in_chunks.append([(int(first), int(each)) for first, each, _ in _rows(data, at, 3)])
    else:
        rows = _rows(data, at, 2)
        track.timed = max(track.timed, int(rows[:, 0].sum(dtype=np.int64)))
        if kind == b"stts":
            track.plain.append(len(rows) == 1 and bool(rows[0, 1] == 1))


def _rows(data: Any, at: int, columns: int) -> np.ndarray:
    """The rows of a table that are there, (rows, columns)."""
    rows = max(0, min(_number(data, at + 4), (len(data) - at - 8) // (4 * columns)))
    return np.frombuffer(bytes(data[at + 8 : at + 8 + 4 * columns * rows]), ">u4").reshape(rows, columns)


def _number(data: Any, at: int) -> int:
    """Four bytes as a number; 0 where the file has ended."""
    return int.from_bytes(data[at : at + 4], "big") if at + 4 <= len(data) else 0
