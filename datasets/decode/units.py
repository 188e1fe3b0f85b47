"""Whether each packet of a stream holds one picture that is shown, from the first bytes of the packets alone.

Where that is so, a video has as many frames as packets, and nobody needs to decode it to know. Codecs that are
not here, and streams with anything unusual in them, are counted by decoding them once (`survey.py`).
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

import numpy as np

from specvid.datasets.decode.mpeg4 import read_mpeg4

Packets = Iterable[memoryview]  # read once

# One packet, one picture, and nothing in it to check that would not be an error in decoding too.
_ALWAYS = frozenset({"mjpeg", "prores", "gif", "wmv1", "wmv2", "msmpeg4v3", "msmpeg4v2", "libdav1d", "av1", "ffv1"})


class Pictures(Enum):
    """What the packets of a stream hold, as far as headers show."""

    UNSURE = "decode and see"
    ONE_EACH = "exactly one frame in each"
    NEW_HEADERS = "exactly one frame in each, some of which need headers that stand in the middle"


def find_pictures(codec: str, packets: Packets, extradata: bytes | None) -> Pictures:
    """What every packet gives.

    Args:
        codec: FFmpeg's name.
        packets: their bytes, in the order of the file.
        extradata: the codec's own header, which says how H.264 and HEVC are framed.
    """
    if codec in _ALWAYS:
        return Pictures.ONE_EACH
    if codec in _IN_UNITS:
        return _IN_UNITS[codec](packets, extradata or b"")
    check = _CHECKS.get(codec)
    return Pictures.ONE_EACH if check is not None and check(packets, extradata or b"") else Pictures.UNSURE


def _vp8(packets: Packets, extradata: bytes) -> bool:
    return all(packet[0] & 0x10 for packet in packets)  # show_frame (RFC 6386, 9.1)


def _vp9(packets: Packets, extradata: bytes) -> bool:
    """The last picture of a superframe is the one that is shown; others stand before it (VP9 bitstream, annex B)."""
    return all(_shown_vp9(packet) for packet in packets)


def _shown_vp9(packet: memoryview) -> bool:
    start, last = 0, packet[-1]
    if last & 0xE0 == 0xC0:
        count, width = (last & 7) + 1, ((last >> 3) & 3) + 1
        index = len(packet) - 2 - count * width
        if index >= 0 and packet[index] == last:
            sizes = [
                int.from_bytes(packet[index + 1 + i * width : index + 1 + (i + 1) * width], "little")
                for i in range(count)
            ]
            if sum(sizes) > index:
                return False
            shown = 0
            for size in sizes:
                shown += size > 0 and _show_bit_vp9(packet[start])
                start += size
            return shown == 1
    return _show_bit_vp9(packet[0])


def _show_bit_vp9(first: int) -> bool:
    """From the header's first byte: marker 10, profile (2 bits), show_existing_frame, frame_type, show_frame."""
    if first >> 6 != 0b10 or (first >> 4) & 3 == 3:  # profile 3 has one bit more: decode and see
        return False
    return bool(first & 0x08) or bool(first & 0x02)


def _mpeg4(stream: Packets, extradata: bytes) -> bool:
    packets = list(stream)
    found = read_mpeg4(extradata + b"".join(packets))
    ends = len(extradata) + np.cumsum([len(packet) for packet in packets])
    starts = np.append(len(extradata), ends[:-1])
    return found is not None and found.square and found.frames(starts) == len(packets)


def _mpeg12(packets: Packets, extradata: bytes) -> bool:
    """One picture header in each packet, and no second field (ISO/IEC 13818-2: picture_structure 3)."""
    for packet in packets:
        data = bytes(packet)
        if data.count(b"\x00\x00\x01\x00") != 1:
            return False
        extension = data.find(b"\x00\x00\x01\xb5", data.find(b"\x00\x00\x01\x00"))
        if (
            extension >= 0
            and len(data) > extension + 6
            and data[extension + 4] >> 4 == 8
            and data[extension + 6] & 3 != 3
        ):
            return False
    return True


def _h264(packets: Packets, extradata: bytes) -> Pictures:
    def kinds(unit: int) -> int:
        return unit & 0x1F

    return _nal_units(packets, extradata, _length_size(extradata, 4), kinds, (1, 5), first=(5,), headers=(7, 8))


def _hevc(packets: Packets, extradata: bytes) -> Pictures:
    def kinds(unit: int) -> int:
        return (unit >> 1) & 0x3F

    # Not RASL (8, 9) right at the start: after a CRA picture they are thrown away, hence IDR (19, 20) first.
    size = _length_size(extradata, 21)
    return _nal_units(packets, extradata, size, kinds, tuple(range(22)), first=(19, 20), headers=(32, 33, 34))


def _length_size(extradata: bytes, place: int) -> int:
    """Bytes of the length before each unit, 0 where start codes part them (Annex B)."""
    return (extradata[place] & 3) + 1 if len(extradata) > place and extradata[0] == 1 else 0


def _nal_units(
    packets: Packets,
    extradata: bytes,
    length_size: int,
    kind_of: Callable[[int], int],
    pictures: tuple[int, ...],
    *,
    first: tuple[int, ...],
    headers: tuple[int, ...],
) -> Pictures:
    """Units that fill their packets without a gap, a picture in each, a key picture in the first."""
    known, is_new = extradata, False
    for number, packet in enumerate(packets):
        units = _lengths(packet, length_size) if length_size else _start_codes(bytes(packet))
        if units is None or any(packet[unit.start] & 0x80 for unit in units):  # the forbidden bit
            return Pictures.UNSURE
        kinds = [kind_of(packet[unit.start]) for unit in units]
        found = [kind for kind in kinds if kind in pictures]
        if not found or (number == 0 and found[0] not in first):
            return Pictures.UNSURE
        for unit, kind in zip(units, kinds, strict=True):
            if kind in headers and (header := bytes(packet[unit.start : unit.stop])) not in known:
                known += header  # FFmpeg knows those of the first packet before it decodes
                is_new |= number > 0
    return Pictures.NEW_HEADERS if is_new else Pictures.ONE_EACH


def _lengths(packet: memoryview, size: int) -> list[range] | None:
    """Where units lie that have their length before them; None where the lengths do not fit."""
    units, at = [], 0
    while at < len(packet):
        length = int.from_bytes(packet[at : at + size], "big")
        at += size
        if not 0 < length <= len(packet) - at:
            return None
        units.append(range(at, at + length))
        at += length
    return units


def _start_codes(data: bytes) -> list[range] | None:
    """Where units lie that start codes part, with the zeros behind them left out."""
    starts, at = [], data.find(b"\x00\x00\x01")
    while 0 <= at < len(data) - 3:
        starts.append(at + 3)
        at = data.find(b"\x00\x00\x01", at + 3)
    ends = [start - 3 for start in starts[1:]] + [len(data)]
    return [range(start, start + len(data[start:end].rstrip(b"\0"))) for start, end in zip(starts, ends, strict=False)]


_CHECKS: dict[str, Callable[[Any, bytes], bool]] = {
    "vp8": _vp8,
    "libvpx": _vp8,
    "vp9": _vp9,
    "libvpx-vp9": _vp9,
    "mpeg4": _mpeg4,
    "mpeg1video": _mpeg12,
    "mpeg2video": _mpeg12,
}
_IN_UNITS: dict[str, Callable[[Any, bytes], Pictures]] = {"h264": _h264, "hevc": _hevc}
