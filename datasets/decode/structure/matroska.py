"""Matroska and WebM (RFC 8794, RFC 9559): elements of an id, a length and so many bytes, in one another."""

import re

from specvid.datasets.decode.structure.walk import WALKS, Breaks, Bytes, Structure, too_short

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_GROUP, _SIMPLE = 0xA0, 0xA3
_ANYWHERE = {0xEC, 0xBF}  # filling, a checksum
_IN_SEGMENT = {0x114D9B74, 0x1549A966, 0x1654AE6B, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
_IN_CLUSTER = _ANYWHERE | {0xE7, 0xA7, 0xAB, 0x5854, 0xAF, _GROUP, _SIMPLE}
_IN_GROUP = _ANYWHERE | {0xA1, 0xA2, 0x75A1, 0x9B, 0xFA, 0xFB, 0xFD, 0xA4, 0x75A2, 0x8E, 0xC8}
_NEXT = re.compile(b"|".join(re.escape(name.to_bytes(4, "big")) for name in sorted(_IN_SEGMENT)))
_UNKNOWN = -1


@WALKS.register("matroska")
def walk_matroska(data: Bytes) -> Structure:
    """Walk through the segment, its clusters and their blocks.

    Args:
        data: the file.
    """
    breaks, size = Breaks(), len(data)
    name, length, at = _element(data, 0)
    name, length, at = _element(data, at + length) if name == _EBML and length >= 0 else (0, 0, 0)
    if name != _SEGMENT:
        return Structure()
    end = size if length == _UNKNOWN else at + length
    cut = too_short("its segment", end, size) if end > size else ""
    end = min(end, size)
    while at < end:
        name, length, inside = _element(data, at)
        if name == _EBML:  # another file behind this one
            break
        behind = end if length == _UNKNOWN else inside + length
        if name not in _IN_SEGMENT and name not in _ANYWHERE:
            place: int | None = at
        elif name == _CLUSTER:
            at, place = _walk_cluster(data, inside, min(behind, end), is_open=length == _UNKNOWN)
        else:
            at, place = behind, None if behind <= end else at
        if place is None:
            continue
        if behind >= end and place + _length(data, place) > size:
            return breaks.structure(cut or "it ends inside of one of its parts")
        if not breaks.note(place):
            break
        found = _NEXT.search(data, place + 1, end)
        at = found.start() if found else end
    return breaks.structure(cut)


def _walk_cluster(data: Bytes, at: int, end: int, *, is_open: bool) -> tuple[int, int | None]:
    """Where a cluster ends, and the place in it at which its parts do not follow one another; None where they do."""
    while at < end:
        name, length, inside = _element(data, at)
        if is_open and (name in _IN_SEGMENT or name == _EBML):
            return at, None
        if name not in _IN_CLUSTER or length == _UNKNOWN or inside + length > end:
            return end, at
        if (name == _SIMPLE and not data[inside]) or (name == _GROUP and not _is_group(data, inside, inside + length)):
            return end, at
        at = inside + length
    return at, None


def _is_group(data: Bytes, at: int, end: int) -> bool:
    while at < end:
        name, length, inside = _element(data, at)
        if name not in _IN_GROUP or length == _UNKNOWN or (name == 0xA1 and length and not data[inside]):
            return False
        at = inside + length
    return at == end


def _length(data: Bytes, at: int) -> int:
    """Bytes of the element at a place, with its head; of one that is none, 0."""
    name, length, inside = _element(data, at)
    return inside + length - at if name in _IN_SEGMENT | _IN_CLUSTER else 0


def _element(data: Bytes, at: int) -> tuple[int, int, int]:
    """The id of an element, its length (`_UNKNOWN` where all bits are ones) and where its content begins; id 0 where
    there is none."""
    head = data[at : at + 12]
    if len(head) < 2 or head[0] < 0x10:
        return 0, 0, at
    width = 9 - head[0].bit_length()
    name, head = int.from_bytes(head[:width], "big"), head[width:]
    if not head or not head[0]:
        return 0, 0, at
    more = 9 - head[0].bit_length()
    if len(head) < more:
        return name, 2**56, at + width + more  # the file ends in it
    length = int.from_bytes(head[:more], "big") & ((1 << 7 * more) - 1)
    return name, _UNKNOWN if length == (1 << 7 * more) - 1 else length, at + width + more
