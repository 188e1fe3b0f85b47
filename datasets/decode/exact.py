"""In which files decord's frame numbers are exact, and how it has to be led there.

Measured with videos that carry their frame number as a picture (``tests/datasets/decode``): decord 0.6.0 jumps to a
key frame by its place in the file. With B-frames that refer across it, or in containers without presentation times,
that is not its place in time, and frames come out 2 to 90 numbers off. Xvid AVI files, UCF-101's among them, are such
files.
"""

import re
from functools import lru_cache
from typing import Literal

from specvid.datasets.decode.probe import identity, probe

Way = Literal["jump", "walk", "other"]

# In MPEG-4 part 2 (ISO/IEC 14496-2): the start of a picture whose two type bits say B, and the mark of encoders that
# pack a B-frame into the packet of the frame before it ("DivX503b1393p"; Xvid writes it too). Packed, a frame's time
# is never before its number, so decord, which throws frames away by time while it skips, loses none; unpacked ones it
# loses.
_B_PICTURE = re.compile(rb"\x00\x00\x01\xb6[\x80-\xbf]")
_PACKED = re.compile(rb"\x00\x00\x01\xb2DivX\d+[bB]\d+p")


def way_to_frames(path: str) -> Way:
    """How decord reaches exact frames of the file: ``jump`` to key frames, ``walk`` from frame 0, or not at all: take
    an ``other`` decoder."""
    return _way_to_frames(*identity(path))


@lru_cache(maxsize=65536)
def _way_to_frames(path: str, size: int, mtime_ns: int) -> Way:
    header = probe(path)
    if header.container not in (
        "avi",
        "mov",
        "matroska",
    ):  # MPEG-TS: off even when read from the start; WMV, MPEG-PS: wrong jumps
        return "other"
    if header.container == "avi" and header.codec == "mpeg4":
        with open(path, "rb") as file:
            data = file.read()
        if not _B_PICTURE.search(data):
            return "jump"
        return "walk" if _PACKED.search(data) else "other"
    return "jump" if _key_frames_part_time(path) else "other"


def _key_frames_part_time(path: str) -> bool:
    """Whether all that comes before a key frame in the file comes before it in time too, by presentation times that
    are stored."""
    import av

    try:
        with av.open(path) as container:
            stream = container.streams.video[0]
            if not stream.codec_context.has_b_frames:
                return True
            if container.format.name == "avi":  # stores no presentation times
                return False
            packets = [(packet.pts, packet.is_keyframe) for packet in container.demux(stream) if packet.size]
    except av.FFmpegError:
        return False
    times = [pts for pts, _ in packets if pts is not None]
    if len(times) < len(packets):
        return False
    order = {pts: place for place, pts in enumerate(sorted(times))}
    return all(order[times[place]] == place for place, (_, key) in enumerate(packets) if key)
