"""Decoding a file to its end, and noting what comes and what does not."""

from dataclasses import dataclass, field
from typing import Any

from specvid.datasets.decode.missing import SeenPacket
from specvid.datasets.decode.opening import Container
from specvid.datasets.decode.picture import Shape, shape_of
from specvid.errors import VideoError

REORDERED = 16  # frames that a decoder may hold back
_AGAIN = ("mpeg4", "h263", "flv")  # after a "not coded" picture at the end FFmpeg gives the last frame once more


@dataclass
class Seen:
    """What came while a file was decoded.

    Attributes:
        stamps: time stamp of each frame, in the order of decoding.
        packets: all that came.
        lost: (frames before it, time stamp) of each packet that does not decode.
        corrupt: places of packets behind which FFmpeg misses others, in bytes.
        mended: frames in which FFmpeg found errors, and guessed part of the picture.
        resized: frames of another size than the first one's.
        reason: the first error, "" where there was none.
        seconds: of one tick.
        shape: of the pictures; None where no frame came.
    """

    stamps: list[int | None] = field(default_factory=list)
    packets: list[SeenPacket] = field(default_factory=list)
    lost: list[tuple[int, int | None]] = field(default_factory=list)
    corrupt: list[int] = field(default_factory=list)
    mended: int = 0
    resized: int = 0
    reason: str = ""
    seconds: float = 0.0
    shape: Shape | None = None


def decode_all(path: str) -> Seen:
    """Decode a file to its end, whatever is in it.

    Args:
        path: of the file.

    Returns:
        What came.

    Raises:
        VideoError: it has no video stream.
    """
    seen = Seen()
    size = None
    try:
        with Container(path) as opened:
            stream = opened.stream
            stream.thread_count = 1
            seen.seconds = float(stream.time_base or 0)
            for packet in _packets(opened, seen):
                if packet.size:
                    waiting = len(seen.packets) - len(seen.lost) - len(seen.stamps)
                    after = len(seen.stamps) + min(max(0, waiting), REORDERED * stream.codec_context.has_b_frames)
                    seen.packets.append(SeenPacket(packet.pos, packet.pts, after))
                    if packet.is_corrupt and packet.pos is not None:
                        seen.corrupt.append(packet.pos)
                try:
                    frames = packet.decode()
                except Exception as error:  # of many classes, FFmpeg's and Python's; the others may be sound
                    seen.reason = seen.reason or _reason(error)
                    if packet.size:
                        seen.lost.append((len(seen.stamps), packet.pts))
                    continue
                if not packet.size and stream.codec_context.name in _AGAIN and not stream.codec_context.has_b_frames:
                    continue
                for frame in frames:
                    if seen.shape is None:
                        seen.shape = shape_of(frame, stream.sample_aspect_ratio)
                        size = frame.height, frame.width
                    seen.stamps.append(frame.pts)
                    seen.mended += bool(frame.is_corrupt)
                    seen.resized += (frame.height, frame.width) != size
    except VideoError:
        raise
    except Exception as error:
        seen.reason = seen.reason or _reason(error)
    return seen


def _packets(opened: Container, seen: Seen) -> Any:
    """The packets, to the end or to where the file cannot be read on; the decoder is emptied in either case."""
    packets = opened.container.demux(opened.stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except Exception as error:
            seen.reason = seen.reason or _reason(error)
            import av

            yield _Flush(opened.stream, av)
            return
        yield packet


class _Flush:
    """In place of the packet that ends a stream."""

    size, pts = 0, None

    def __init__(self, stream: Any, av: Any) -> None:
        self.stream = stream

    def decode(self) -> Any:
        return self.stream.decode(None)


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__).strip()[:160]
