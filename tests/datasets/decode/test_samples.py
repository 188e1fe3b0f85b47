"""MP4 files whose tables claim more samples than there are bytes: refused before FFmpeg makes an entry for each."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from specvid.datasets.decode import open_video
from specvid.datasets.decode.opening import identity
from specvid.datasets.decode.samples import check_samples
from specvid.errors import VideoError

MANY = 85_000_000
HOLD = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"}


def film(path: Path, *, sound: str = "", options: dict[str, str] | None = None) -> Path:
    """Ten pictures, and a second of sound."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream(sound, rate=44100, layout="mono") if sound else None
        for number in range(10):
            picture = np.full((48, 64, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
        if audio is not None:
            for start in range(0, 44100, 1024):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
                frame.sample_rate, frame.pts = 44100, start
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        yield kind, data[place + 8 : place + length]
        place += length


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def changed(data: bytes, tables: dict[bytes, bytes]) -> bytes:
    """The file with other tables; one of no content is left out."""
    out = b""
    for kind, content in boxes(data):
        content = changed(content, tables) if kind in HOLD else tables.get(kind, content)
        out += box(kind, content) if content else b""
    return out


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


TABLES: dict[str, dict[bytes, bytes]] = {
    "all of one size": {
        b"stsz": numbers(0, 1, MANY),
        b"stts": numbers(0, 1, MANY, 512),
        b"stsc": numbers(0, 1, 1, MANY, 1),
        b"stco": numbers(0, 1, 48),
        b"stss": b"",
    },
    "sizes": {b"stsz": numbers(0, 1, MANY)},
    "sizes of no bytes": {b"stsz": numbers(0, 0, MANY)},
    "times": {b"stts": numbers(0, 2, 10, 512, MANY, 1)},
    "offsets of times": {b"stts": numbers(0, 1, 10, 512) + box(b"ctts", numbers(0, 1, MANY, 5))},
    "chunks of plain sound": {
        b"hdlr": numbers(0, 0) + b"soun" + bytes(13),
        b"stts": numbers(0, 1, 10, 1),
        b"stsc": numbers(0, 1, 1, 2**31 - 1, 1),
    },
    "edits": {b"stsz": numbers(0, 1, 200_000), b"elst": numbers(0, 300, *[1000, 0, 65536] * 300)},
    "fragment": {b"stco": numbers(0, 1, 48) + box(b"trun", numbers(0, MANY))},
}


@pytest.mark.parametrize("name", TABLES)
def test_more_samples_than_bytes(tmp_path: Path, name: str) -> None:
    data = film(tmp_path / "sound.mp4").read_bytes()
    path = tmp_path / "wrong.mp4"
    path.write_bytes(changed(data, TABLES[name]))
    for other in (path.read_bytes(), box(b"free", b"") + path.read_bytes()[:-1]):
        path.write_bytes(other)
        with pytest.raises(VideoError, match=r"wrong\.mp4: claims [\d,]+ samples in [\d,]+ bytes"):
            open_video(path)


def test_tracks_are_counted_together_and_headers_unpacked(tmp_path: Path) -> None:
    data = film(tmp_path / "sound.mp4").read_bytes()
    path = tmp_path / "wrong.mp4"
    moov = changed(dict(boxes(data))[b"moov"], {b"stsz": numbers(0, 1, 200_000)})
    (track,) = (content for kind, content in boxes(moov) if kind == b"trak")
    path.write_bytes(data + box(b"moov", moov))
    check_samples(*identity(str(path)))  # as many as no file is refused for
    path.write_bytes(data + box(b"moov", moov + box(b"trak", track)))
    with pytest.raises(VideoError, match="claims"):
        check_samples(*identity(str(path)))
    packed = zlib.compress(box(b"moov", moov + box(b"trak", track)))
    path.write_bytes(box(b"moov", box(b"cmov", box(b"dcom", b"zlib") + box(b"cmvd", numbers(5000) + packed))))
    with pytest.raises(VideoError, match="claims"):
        check_samples(*identity(str(path)))


@pytest.mark.parametrize(
    ("name", "sound", "options"),
    [
        ("a.mp4", "", {}),
        ("a.mp4", "aac", {"movflags": "faststart"}),
        ("a.mov", "pcm_s16le", {}),
        ("a.mov", "adpcm_ima_qt", {}),
        ("a.mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.mp4", "aac", {"movflags": "empty_moov", "frag_duration": "120000"}),
        ("a.avi", "pcm_s16le", {}),
        ("a.mkv", "", {}),
    ],
)
def test_sound_files_are_read_and_cut_ones_are_for_ffmpeg(
    tmp_path: Path, name: str, sound: str, options: dict[str, str]
) -> None:
    path = film(tmp_path / name, sound=sound, options=options)
    with open_video(path) as video:
        assert len(video) == 10
    data = path.read_bytes()
    for cut in {*range(1, 200), *range(1, len(data), max(1, len(data) // 100))}:
        path.write_bytes(data[:cut])
        check_samples(*identity(str(path)))
