"""Numbers and text of MATLAB files of version 5 to 7, read in Python alone, since anybody may have written them.

SciPy's compiled reader believes what such a file says of itself: with a few bytes changed it reads where it must not,
which ends the process. Here each size is held against the bytes that are there before anything is taken.

A file is a header of 128 bytes and elements: a tag (type, bytes), then the bytes, up to a multiple of 8. An element is
an array, or one compressed by zlib. An array holds elements again: flags (its class), dimensions, name, then the
numbers, the first dimension running fastest, in the smallest type that takes them. "MAT-File Format", MathWorks.
"""

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from specvid.memory import check_memory
from specvid.text import one_line

_HEADER = 128
_COMPRESSED, _ARRAY = 15, 14
_INT8, _INT32, _UINT32 = 1, 5, 6
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXT = {2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function", 17: "opaque", 18: "object"}
_NUMBERS = range(6, 16)
_FRONT = 65536  # bytes of an array that surely hold its flags, dimensions and name
_RATIO = 1032  # what zlib compresses at most
_COMPLEX = 8
_MOST = 10_000  # variables
_LONGEST = 63  # letters of a name


@dataclass(frozen=True)
class MatlabVariable:
    """A variable of a MATLAB file.

    Attributes:
        kind: ``numbers``, ``char``, ``complex``, or what is not read: ``cell``, ``struct``, ``object``, ``sparse``, ...
        shape: its dimensions.
        start: place of its element in the file, behind the tag.
        stored: bytes of the element.
        size: bytes of the array when it is unpacked.
        compressed: by zlib.
        content: place of the numbers in the unpacked array.
    """

    kind: str
    shape: tuple[int, ...]
    start: int
    stored: int
    size: int
    compressed: bool
    content: int


class MatlabFile:
    """An open MATLAB file.

    Args:
        path: of the file.

    Attributes:
        variables: what it holds, by name.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is none, of another version, or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._bytes = self._path.stat().st_size
        self.variables: dict[str, MatlabVariable] = {}
        with self._path.open("rb") as file:
            self._order = _byte_order(file.read(_HEADER))
            place = _HEADER
            while place < self._bytes:
                place = self._add(file, place)

    def _add(self, file: BinaryIO, place: int) -> int:
        """Take up the variable at a place; gives the place of the next one."""
        file.seek(place)
        kind, stored, _, _ = _tag(file.read(8), 0, self._order)
        start = place + 8
        if kind not in (_COMPRESSED, _ARRAY) or stored > self._bytes - start:
            raise ValueError(f"it is damaged or cut off at byte {place:,}")
        size = stored
        data = _unpack(file, start, stored, kind == _COMPRESSED, _FRONT)
        inner = 0
        if kind == _COMPRESSED:
            kind, size, inner, _ = _tag(data, 0, self._order)
            if kind != _ARRAY or size > _RATIO * stored:
                raise ValueError(f"the array at byte {place:,} claims {size:,} bytes, and lies in {stored:,}")
        name, variable = _front(data, inner, self._order, (start, stored, inner + size, inner > 0))
        if name in self.variables or len(self.variables) >= _MOST:
            raise ValueError(f"it has two variables {name}, or more than {_MOST:,} of them")
        if name:  # what has none is MATLAB's own
            self.variables[name] = variable
        return start + stored

    def read(self, name: str) -> np.ndarray:
        """Read a variable.

        Args:
            name: one of ``variables``.

        Returns:
            Its numbers, of the type in which they are stored; text as an array of strings, one for each row.

        Raises:
            ValueError: it holds something else, is damaged, or does not fit into memory.
        """
        variable = self.variables[name]
        if variable.kind not in ("numbers", "char"):
            raise ValueError(f"array {name} is a {variable.kind}; save it as numbers")
        check_memory(2 * variable.size, f"array {name} takes")
        with self._path.open("rb") as file:
            data = _unpack(file, variable.start, variable.stored, variable.compressed, variable.size, whole=True)
        kind, size, place, _ = _tag(data, variable.content, self._order)
        count = math.prod(variable.shape)
        if size > len(data) - place:
            raise ValueError(f"array {name} claims {size:,} bytes, and {len(data) - place:,} are there")
        if variable.kind == "char":
            return _strings(name, data[place : place + size], kind, variable.shape, self._order)
        if kind not in _TYPES or np.dtype(_TYPES[kind]).itemsize * count != size:
            raise ValueError(f"array {name} claims the shape {variable.shape}, which are not the {size:,} bytes of it")
        stored = np.frombuffer(data, np.dtype(self._order + _TYPES[kind]), count, place)
        return stored.astype(_TYPES[kind]).reshape(variable.shape, order="F")


def _unpack(file: BinaryIO, start: int, stored: int, compressed: bool, limit: int, *, whole: bool = False) -> bytes:
    """The first ``limit`` bytes of an element; ``whole``: it has no more, and their checksum is right."""
    file.seek(start)
    if not compressed:
        return file.read(min(stored, limit))
    packed = zlib.decompressobj()
    try:
        data = packed.decompress(file.read(stored if whole else min(stored, limit)), limit)
        more = packed.decompress(packed.unconsumed_tail, 1) if whole else b""  # and the checksum behind it
    except zlib.error as error:
        raise ValueError(f"its compressed array at byte {start:,} is damaged ({error})") from None
    if whole and (more or len(data) < limit or not packed.eof):
        raise ValueError(f"its compressed array at byte {start:,} is cut off, or has more than it claims")
    return data


def _byte_order(header: bytes) -> str:
    """``<`` or ``>``, from the first bytes of a file."""
    if header.startswith(b"MATLAB 7.3") or header[1:4] == b"HDF":
        raise ValueError("it is a MATLAB file of version 7.3; save it with -v7, or as .npz")
    order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
    if order is None:
        old = len(header) >= 20 and 0 <= struct.unpack("<i", header[:4])[0] < 5000
        rule = "it is one of version 4; save it with -v7" if old else "it is empty, cut off, or of another kind"
        raise ValueError(f"no MATLAB file of version 5 to 7: {rule}")
    return order


def _tag(data: bytes, place: int, order: str) -> tuple[int, int, int, int]:
    """Type, bytes, place of these bytes, and place of the next element."""
    if place < 0 or place + 8 > len(data):
        raise ValueError("it is damaged or cut off within an array")
    kind, size = struct.unpack_from(f"{order}2I", data, place)
    if kind >> 16:  # up to 4 bytes stand in the tag itself
        if kind >> 16 > 4:
            raise ValueError("it is damaged within an array")
        return kind & 0xFFFF, kind >> 16, place + 4, place + 8
    return kind, size, place + 8, place + 8 + -(-size // 8) * 8


def _front(data: bytes, place: int, order: str, element: tuple[int, int, int, bool]) -> tuple[str, MatlabVariable]:
    """Name and kind of an array from its first elements; ``element``: start, bytes stored and unpacked, compressed."""
    kind, size, start, place = _tag(data, place, order)
    if kind != _UINT32 or size != 8 or start + 8 > len(data):
        raise ValueError("it is damaged: an array without flags")
    (flags,) = struct.unpack_from(f"{order}I", data, start)
    family, is_complex = flags & 0xFF, flags >> 8 & _COMPLEX
    shape: tuple[int, ...] = ()
    if _CLASSES.get(family) != "opaque":  # which has no dimensions
        kind, size, start, place = _tag(data, place, order)
        if kind != _INT32 or size % 4 or not 8 <= size <= 128 or start + size > len(data):
            raise ValueError("it is damaged: an array without dimensions")
        shape = struct.unpack_from(f"{order}{size // 4}i", data, start)
        if min(shape) < 0:
            raise ValueError(f"it is damaged: an array of the shape {shape}")
    kind, size, start, place = _tag(data, place, order)
    if kind not in (_INT8, 2, 16) or size > _LONGEST or start + size > len(data):
        raise ValueError("it is damaged: an array without a name")
    named = _CLASSES.get(family, "numbers" if family in _NUMBERS else "unknown")
    named = "complex" if named == "numbers" and is_complex else named
    name = one_line(data[start : start + size].decode("utf-8", "backslashreplace"))
    return name, MatlabVariable(named, shape, *element, place)


def _strings(name: str, data: bytes, kind: int, shape: tuple[int, ...], order: str) -> np.ndarray:
    """The rows of a matrix of characters."""
    if kind not in _TEXT or len(shape) != 2:
        raise ValueError(f"array {name} is text of the shape {shape}; a matrix is read, a name in each row")
    letters = np.array(list(data.decode(_encoding(_TEXT[kind], order), "replace")), "U1")
    if len(letters) != math.prod(shape):
        raise ValueError(f"array {name} claims the shape {shape}, which are not the {len(letters):,} characters of it")
    return np.array(["".join(row) for row in letters.reshape(shape, order="F")], str)


def _encoding(name: str, order: str) -> str:
    return name if name == "utf-8" else f"{name}-{'le' if order == '<' else 'be'}"
