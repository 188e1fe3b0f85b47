"""MPEG transport streams (packets of one size) and program streams (packets that say how long they are)."""

import numpy as np

from specvid.datasets.decode.structure.walk import WALKS, Breaks, Bytes, Structure, too_short

_SYNC = 0x47
_ROW = 5  # sync bytes at the right distance by which packets are found
_PACKET_SIZES = (188, 192, 204)  # plain; with a time stamp before it; with a code for errors behind it
_PACK, _END = 0xBA, 0xB9


@WALKS.register("mpegts")
def walk_transport_stream(data: Bytes) -> Structure:
    """Look for the sync byte of each packet, and for an incomplete packet at the end.

    How long a stream is stands nowhere: one that ends between two packets shows nothing.

    Args:
        data: the file.
    """
    breaks, size = Breaks(), len(data)
    found = [(start, step) for step in _PACKET_SIZES if (start := _find_packets(data, 0, step)) is not None]
    if not found:
        return Structure()
    at, step = min(found)
    at %= step
    while at < size:
        count = (size - at) // step
        with_sync = np.frombuffer(data, np.uint8, count * step, at)[::step] == _SYNC
        good = int(np.append(np.flatnonzero(~with_sync), count)[0])
        at += good * step
        if good == count:
            break
        if not breaks.note(at):
            break
        following = _find_packets(data, at + 1, step)
        if following is None:
            return breaks.structure()
        at = following
    rest = size - at  # what stands beside the packets of 188 bytes stands before or behind each
    return breaks.structure(f"its last packet has {rest} of {_PACKET_SIZES[0]} bytes" if 0 < rest < 188 else "")


def _find_packets(data: Bytes, at: int, step: int) -> int | None:
    """Where a row of packets begins, at a place or behind it."""
    while (at := data.find(b"G", at)) >= 0:
        if all(data[place] == _SYNC for place in range(at, min(at + _ROW * step, len(data)), step)):
            return at
        at += 1
    return None


@WALKS.register("mpeg")
def walk_program_stream(data: Bytes) -> Structure:
    """Walk from packet to packet. How long a stream is stands nowhere: one that ends between two shows nothing.

    Args:
        data: the file.
    """
    breaks, size = Breaks(), len(data)
    at = max(0, data.find(b"\x00\x00\x01\xba"))
    while at <= size - 4:
        kind = data[at + 3]
        if data[at : at + 3] != b"\x00\x00\x01" or kind < _END:
            if not breaks.note(at):
                break
            at = data.find(b"\x00\x00\x01\xba", at + 1)
            if at < 0:
                break
        elif kind == _END:
            at += 4
        elif kind == _PACK:
            at += 12 if data[at + 4 : at + 5] < b"\x40" else 14 + (data[min(at + 13, size - 1)] & 7)
        else:
            behind = at + 6 + int.from_bytes(data[at + 4 : at + 6], "big")
            if behind > size:
                return breaks.structure(too_short("its last packet", behind, size))
            at = behind
    return breaks.structure()
