"""ASF (Windows Media): packets of one size, each with parts of the pictures and sounds, which are numbered."""

from dataclasses import replace
from typing import NamedTuple

from specvid.datasets.decode.structure.walk import WALKS, Breaks, Bytes, Structure

_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_BROADCAST = 1
_BYTES = (0, 1, 2, 4)  # of a field, by the two bits that say so


@WALKS.register("asf")
def walk_asf(data: Bytes) -> Structure:
    """Compare the size in the header with the file's, and walk through the parts in each packet.

    Args:
        data: the file.
    """
    breaks, size = Breaks(), len(data)
    about, packets = data.find(_FILE, 0, 2**20), data.find(_DATA, 0, 2**26)
    if about < 0 or packets < 0:
        return Structure()

    def field(place: int, length: int) -> int:
        return int.from_bytes(data[place : place + length], "little")

    announced, flags, step = field(about + 40, 8), field(about + 88, 4), field(about + 92, 4)
    if flags & _BROADCAST or not step:  # these fields are not filled in
        return Structure()
    first = packets + 50
    numbers: dict[int, int] = {}
    for at in range(first, min(first + field(packets + 40, 8) * step, size - step + 1), step):
        if not _follows(data, at, step, numbers) and not breaks.note(at):
            break
    cut = f"its header announces {announced:,} bytes, the file has {size:,}" if announced > size else ""
    # FFmpeg does not believe the duration where the size is wrong. In units of 100 ns, with the lead in ms.
    ends = max(0.0, field(about + 64, 8) / 1e7 - field(about + 80, 8) / 1e3)
    return replace(breaks.structure(cut), ends=ends)


class _Part(NamedTuple):
    stream: int
    number: int
    bits: int  # of the number


def _follows(data: Bytes, at: int, step: int, numbers: dict[int, int]) -> bool:
    """Whether a packet is in order, and goes on where the one before it ended."""
    parts = _parts(data[at : at + step])
    if parts is None:
        numbers.clear()
        return False
    is_next = True
    for part in parts:
        before = numbers.get(part.stream, part.number)
        is_next &= (part.number - before) % (1 << part.bits) <= 1
        numbers[part.stream] = part.number
    return is_next


def _parts(packet: bytes) -> list[_Part] | None:
    """The parts in a packet (ASF specification, 5.2); None where they do not fill it."""
    try:
        at = 1 + (packet[0] & 0x0F) if packet[0] & 0x80 else 0
        lengths, fields = packet[at], packet[at + 1]
        at += 2
        if fields >> 6 != 1:  # a stream has one byte
            return None
        widths = [_BYTES[lengths >> place & 3] for place in (5, 1, 3)]  # of the packet's length, sequence, filling
        values = []
        for width in widths:
            values.append(int.from_bytes(packet[at : at + width], "little"))
            at += width
        at += 6
        end = (values[0] if widths[0] else len(packet)) - values[2]
        count, width = (packet[at] & 0x3F, _BYTES[packet[at] >> 6]) if lengths & 1 else (1, 0)
        at += lengths & 1
        parts = []
        for _ in range(count):
            stream = packet[at] & 0x7F
            number_width, offset_width, more_width = (_BYTES[fields >> place & 3] for place in (4, 2, 0))
            parts.append(
                _Part(stream, int.from_bytes(packet[at + 1 : at + 1 + number_width], "little"), 8 * number_width)
            )
            at += 1 + number_width + offset_width
            more = int.from_bytes(packet[at : at + more_width], "little")
            at += more_width + more
            length = int.from_bytes(packet[at : at + width], "little") if lengths & 1 else end - at
            at += width + length
            if not stream or at > end:
                return None
        return parts if at == end else None
    except IndexError:
        return None
