"""Writes real .rar files (version 4, nothing compressed): the free tools can read that format, none can write it."""

import struct
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32


def write_rar(path: Path, files: Mapping[str, bytes]) -> Path:
    """An archive of ``files``: name (with ``/``) -> content."""
    blocks = [b"Rar!\x1a\x07\x00", _block(0x73, 0, bytes(6))]
    for name, content in files.items():
        stored = name.replace("/", "\\").encode("ascii")  # the format's own separator
        fields = struct.pack(
            "<IIBIIBBHI",
            len(content),  # packed
            len(content),  # unpacked
            3,  # made on Unix
            crc32(content),
            (40 << 25) | (1 << 21) | (1 << 16),  # 1 January 2020, MS-DOS
            20,  # version 2.0 is needed
            0x30,  # stored
            len(stored),
            0o100644,
        )
        blocks += [_block(0x74, 0x8000, fields + stored), content]
    blocks.append(_block(0x7B, 0x4000, b""))
    path.write_bytes(b"".join(blocks))
    return path


def _block(kind: int, flags: int, fields: bytes) -> bytes:
    """A header: its checksum (16 bits of the CRC-32 of the rest), type, flags, size, fields."""
    rest = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
    return struct.pack("<H", crc32(rest) & 0xFFFF) + rest
