"""MPEG-4 part 2 (ISO/IEC 14496-2; Xvid, DivX): which pictures a stream holds, from the headers of the pictures alone.

UCF-101's files are of this kind. Encoders leave pictures out ("not coded": the one before is to be shown on) and pack a
B-picture into the packet of the picture before it, with a "not coded" one in the next packet to fill its place.
"""

import re
from dataclasses import dataclass

import numpy as np

_LAYER = re.compile(rb"\x00\x00\x01[\x20-\x2f]")
_PACKED = re.compile(rb"\x00\x00\x01\xb2DivX\d+[bB]\d+p")  # the mark of encoders that pack; Xvid writes it too
_I, _B = 0, 2  # vop_coding_type


@dataclass(frozen=True, eq=False)
class Mpeg4:
    """The pictures of a stream.

    Args:
        starts: (N,) int64: where each begins, in bytes.
        coded: (N,) bool: whether it is coded; the others only say that nothing changes.
        intra: (N,) bool: whether it refers to no other picture.
        has_b: whether B-pictures are among the coded ones.
        packed: whether the encoder marked it as packed.
        square: whether the header declares square pixels, or no shape of pixels.
    """

    starts: np.ndarray
    coded: np.ndarray
    intra: np.ndarray
    has_b: bool
    packed: bool
    square: bool

    def frames(self, packets: np.ndarray) -> int:
        """How many frames the pictures give, if all decode.

        Args:
            packets: (P,) int64: where each packet begins, in bytes.
        """
        number = np.searchsorted(packets, self.starts, side="right")
        seconds = self.starts[1:][number[1:] == number[:-1]]
        fillers = self.starts[~self.coded]
        # Once packed, the stream runs one picture behind, until a "not coded" one lets it catch up. At the end that
        # picture is never shown.
        behind = self.packed and len(seconds) > 0 and not (len(fillers) and fillers[-1] > seconds[-1])
        return int(self.coded.sum()) - int(behind)


def read_mpeg4(data: bytes) -> Mpeg4 | None:
    """The pictures in the bytes of a file or a stream.

    Args:
        data: all of them; what stands between the pictures does not matter.

    Returns:
        What is there; None where the stream has no readable layer header or no picture.
    """
    padded = np.frombuffer(data + bytes(12), np.uint8)
    starts = np.flatnonzero(padded == 0xB6) - 3  # a picture begins with 00 00 01 B6
    starts = starts[(starts >= 0) & (padded[starts + 2] == 1) & (padded[starts + 1] == 0) & (padded[starts] == 0)]
    layer = _LAYER.search(data)
    header = _read_layer(data[layer.end() : layer.end() + 32]) if layer else None
    if header is None or not len(starts):
        return None
    bits, square = header
    # The 64 bits after each start code. Layout: type (2), modulo time base (ones, then a zero), marker, time (bits),
    # marker, coded (ISO/IEC 14496-2, 6.2.5).
    head = padded[starts[:, None] + np.arange(4, 12)].copy().view(">u8")[:, 0].astype(np.uint64)
    kind = head >> np.uint64(62)
    seconds = np.zeros(len(starts), np.uint64)
    for count in range(32):
        running = (seconds == count) & ((head >> (np.uint64(61) - seconds)) & np.uint64(1)).astype(bool)
        if not running.any():
            break
        seconds += running
    coded = ((head >> (np.uint64(58 - bits) - seconds)) & np.uint64(1)).astype(bool)
    packed = _PACKED.search(data, 0, int(starts[0])) is not None
    return Mpeg4(starts, coded, kind == _I, bool((kind[coded] == _B).any()), packed, square)


def _read_layer(data: bytes) -> tuple[int, bool] | None:
    """(bits of a picture's time, whether pixels are square) from a video object layer's header (6.2.3)."""
    text = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"
    at = 9  # random_accessible, type
    if text[at : at + 1] == "1":
        at += 7  # version, priority
    at += 1
    aspect = int(text[at : at + 4] or "0", 2)
    at += 4
    square = aspect in (0, 1)
    if aspect == 15:
        square = text[at : at + 8] == text[at + 8 : at + 16]
        at += 16
    if text[at : at + 1] == "1":  # control parameters
        at += 4
        if text[at : at + 1] == "1":
            at += 79
    at += 1
    if text[at : at + 2] != "00":  # not rectangular
        return None
    at += 3
    resolution = int(text[at : at + 16] or "0", 2)
    if not resolution:
        return None
    return max(1, (resolution - 1).bit_length()), square
