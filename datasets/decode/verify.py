"""Does a file decode whole? Every frame is decoded, none converted: the answer of ``specvid data check``."""

import os

from specvid.datasets.decode.probe import probe
from specvid.errors import VideoError


def verify_video(path: str | os.PathLike[str]) -> int:
    """Decode ``path`` to its last frame and return how many frames it has.

    Raises: ``VideoError`` for a file that cannot be opened or is cut off, for packets that give no frame, and for
    frames that FFmpeg had to mend (bits that contradict each other; it guesses the rest of such a picture).
    """
    import av

    path = os.fspath(path)
    announced = probe(path).frames
    packets = frames = mended = 0
    try:
        with av.open(path) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            for packet in container.demux(stream):
                packets += packet.size > 0
                for frame in packet.decode():
                    frames += 1
                    mended += frame.is_corrupt
    except av.FFmpegError as error:
        raise VideoError(path, f"is damaged: nothing can be decoded after frame {frames} ({error.strerror})") from None
    if frames == 0:
        raise VideoError(path, "holds no frames")
    if packets < announced:
        raise VideoError(path, f"is cut off: the header announces {announced} frames, the file holds {packets}")
    if frames < packets:
        raise VideoError(path, f"is damaged: {packets - frames} of {packets} frames cannot be decoded")
    if mended:
        raise VideoError(path, f"is damaged: {mended} of {frames} frames contain errors")
    return frames
