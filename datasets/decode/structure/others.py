"""Containers of which a few fields say enough: MP4, Flash video, Ogg, IVF and GIF."""

import re
import struct
from collections.abc import Iterator
from dataclasses import replace

from specvid.datasets.decode.structure.walk import WALKS, Breaks, Bytes, Structure, too_short

_FLV_TAG = re.compile(rb"[\x08\x09\x12\x28\x29\x32].{7}\x00\x00\x00", re.DOTALL)  # sound, pictures, data
_MP4_BOXES = (b"moov", b"mdat", b"moof", b"mfra")
_OGG_LAST = 4


@WALKS.register("mov")
def walk_mp4(data: Bytes) -> Structure:
    """Walk through the outermost boxes (ISO/IEC 14496-12, 4.2).

    Args:
        data: the file.
    """
    breaks, size, at = Breaks(), len(data), 0
    while at < size - 8:
        length, name, inside = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if length == 1:
            length, inside = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if length == 0 and name.strip(b"\x00"):  # to the end
            return breaks.structure()
        if length < inside or not name.isalnum():
            following = data.find(b"moof", at + 8) - 4
            if following < 0 or not breaks.note(at):  # phones write something of their own behind the last box
                break
            at = following
            continue
        if at + length > size:
            if name not in _MP4_BOXES:
                break
            text = name.decode("latin-1")
            return breaks.structure(too_short(f"its box {text!r}", at + length, size))
        at += length
    return breaks.structure()


@WALKS.register("flv")
def walk_flv(data: Bytes) -> Structure:
    """Walk from tag to tag; behind each stands its length once more.

    Args:
        data: the file.
    """
    breaks, size, cut = Breaks(), len(data), ""
    at = int.from_bytes(data[5:9], "big") + 4
    while at < size - 11:
        behind = _behind_flv_tag(data, at)
        if behind > size:
            cut = too_short("its last tag", behind, size)
            break
        if not behind:
            if not breaks.note(at):
                break
            at = next((one for one in _flv_tags(data, at + 1) if _behind_flv_tag(data, one) <= size), size)
            continue
        at = behind
    field = data.find(b"duration\x00", 0, 4096) + len(b"duration\x00")
    known = field > len(b"duration") and len(data) >= field + 8
    ends = struct.unpack(">d", data[field : field + 8])[0] if known else 0.0
    return replace(breaks.structure(cut), ends=ends if 0 < ends < 1e9 else 0.0)


def _flv_tags(data: Bytes, at: int) -> Iterator[int]:
    while (found := _FLV_TAG.search(data, at)) is not None:
        at = found.start() + 1
        if _behind_flv_tag(data, found.start()):
            yield found.start()


def _behind_flv_tag(data: Bytes, at: int) -> int:
    """Where the tag at a place ends; 0 where there is none."""
    length = int.from_bytes(data[at + 1 : at + 4], "big") + 11
    behind = at + length + 4
    if not _FLV_TAG.match(data, at):
        return 0
    stated = data[behind - 4 : behind]
    return 0 if len(stated) == 4 and int.from_bytes(stated, "big") != length else behind


@WALKS.register("ogg")
def walk_ogg(data: Bytes) -> Structure:
    """Walk from page to page (RFC 3533): they are numbered, and the last one of each stream is marked.

    Args:
        data: the file.
    """
    breaks, size, at = Breaks(), len(data), 0
    numbers: dict[bytes, int] = {}
    ended: set[bytes] = set()
    while 0 <= at <= size - 27:
        if data[at : at + 4] != b"OggS":
            if not breaks.note(at):
                break
            at = data.find(b"OggS", at + 1)
            continue
        stream, number = data[at + 14 : at + 18], int.from_bytes(data[at + 18 : at + 22], "little")
        if number != numbers.get(stream, number - 1) + 1 and not breaks.note(at):
            break
        numbers[stream] = number
        if data[at + 5] & _OGG_LAST:
            ended.add(stream)
        parts = data[at + 27 : at + 27 + data[at + 26]]
        behind = at + 27 + data[at + 26] + sum(parts)
        if behind > size:
            return breaks.structure(too_short("its last page", behind, size))
        at = behind
    return breaks.structure("" if len(ended) == len(numbers) else "its last page is not marked as the last one")


@WALKS.register("ivf")
def walk_ivf(data: Bytes) -> Structure:
    """Walk from picture to picture; each has its length before it.

    Args:
        data: the file.
    """
    size, at = len(data), int.from_bytes(data[6:8], "little")
    while at <= size - 12:
        length = int.from_bytes(data[at : at + 4], "little")
        if not length:
            return Structure(f"there is nothing at byte {at:,}, where a picture should be")
        at += 12 + length
    return Structure("" if at == size else too_short("its last picture", max(at, at + 12), size))


@WALKS.register("gif")
def walk_gif(data: Bytes) -> Structure:
    """Look for the byte that ends a GIF.

    Args:
        data: the file.
    """
    return Structure("" if b";" in data[-16:] else "the byte that ends a GIF is missing")
