"""Re-encode a data set once, smaller and with key frames close together: clips are then read several times faster.

Names, folders and lists stay as they are, so the copy is read by the same layout. What is there already from a run with
the same settings is not done again; each file appears complete or not at all.
"""

import filecmp
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from specvid.cores import usable_cores
from specvid.datasets.decode import open_video
from specvid.datasets.layouts.media import VIDEOS, is_hidden, walk
from specvid.errors import VideoError, disk_error
from specvid.files import only_writer, replacing_file, write_json
from specvid.reading import read_json
from specvid.tools.data.pool import run_tasks
from specvid.tools.timing import interleaved

SETTINGS = "shrink.json"
"""In the copy: what it was made with."""

# MPEG-4 Part 2 rather than H.264: it takes more bytes and less time to decode, which is what the copy is for.
_QUALITY = {"qmin": "2", "global_quality": str(3 * 118), "flags": "+qscale"}
_MPEG4 = ("mpeg4", _QUALITY)
_VP9 = ("libvpx-vp9", {"crf": "31", "b": "0", "cpu-used": "4"})
_CODECS = {
    **dict.fromkeys((".webm", ".ivf"), _VP9),
    ".ogv": ("libvpx", {"crf": "10", "b": "1M", "cpu-used": "4"}),
    ".flv": ("flv", _QUALITY),
    **dict.fromkeys(
        (".mpg", ".mpeg", ".mpe", ".m2v", ".vob", ".ts", ".m2ts", ".mts", ".mxf"), ("mpeg2video", _QUALITY)
    ),
    ".m1v": ("mpeg1video", _QUALITY),
    **dict.fromkeys((".264", ".h264", ".f4v"), ("libx264", {"crf": "23"})),
    **dict.fromkeys((".mjpeg", ".mjpg"), ("mjpeg", _QUALITY)),
    ".gif": ("gif", {}),
    ".y4m": ("rawvideo", {}),
}
_PIXELS = {"gif": "rgb8", "mjpeg": "yuvj420p"}
_MPEG2_RATES = (Fraction(24_000, 1001), 24, 25, Fraction(30_000, 1001), 30, 50, Fraction(60_000, 1001), 60)
_TICKS = 60_000  # a second, of time stamps of videos without a constant rate; MPEG-4 counts to 65,535
_CONSTANT_RATE = (".avi", ".m1v", ".m2v", ".mjpeg", ".mjpg", ".y4m")  # containers that know no other
_TIMED, _FRAMES, _STRIDE = 24, 16, 2  # videos and clip that the rate of loading is measured on


@dataclass(frozen=True)
class ShrinkConfig:
    """How videos are re-encoded."""

    short_side: int = 160
    """Short side of the pictures, px; smaller ones stay as they are."""
    gop: int = 12
    """Frames from one key frame to the next."""

    def __post_init__(self) -> None:
        if self.short_side < 16 or self.short_side % 2:
            raise ValueError(f"short_side {self.short_side} must be even and at least 16 px.")
        if self.gop < 1:
            raise ValueError(f"gop {self.gop} must be at least 1.")


@dataclass(frozen=True)
class ShrinkReport:
    """What became of a data set.

    Attributes:
        videos: re-encoded, in this run or an earlier one.
        others: other files, copied as they are.
        bytes_before: of all files that were re-encoded.
        bytes_after: of the same files in the copy.
        problems: why a video was copied as it is, or a file left out, by its path.
        clips_per_s: median rate of reading clips before and after, one thread each; NaN where there is no video.
        speed_up: ratio of the two.
    """

    videos: int
    others: int
    bytes_before: int
    bytes_after: int
    problems: dict[str, str]
    clips_per_s: tuple[float, float]
    speed_up: float


def shrink(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    config: ShrinkConfig | None = None,
    *,
    workers: int | None = None,
    progress: bool = False,
) -> ShrinkReport:
    """Re-encode all videos below a folder, and copy all else. Sound is left out, and links become what they lead to.

    Args:
        source: the data set.
        out: the copy; it may stand there in part.
        config: size and key frames.
        workers: processes that encode; one a core if not given.
        progress: show a bar.

    Returns:
        What became of it. A video that cannot be read is copied as it is, and named.

    Raises:
        ValueError: no such folder, the copy would lie in it (or it in the copy), the copy has other settings, or
            another process is writing it.
    """
    config, source, out = config or ShrinkConfig(), Path(source), Path(out)
    if not source.is_dir():
        raise ValueError(f"{source} is not a folder: name the folder of a data set.")
    here, there = source.resolve(), out.resolve()
    linked = {Path(folder).resolve() for folder, *_ in walk(source)}
    if here == there or not linked.isdisjoint(there.parents) or there in linked or there in here.parents:
        raise ValueError(f"{out} and {source} lie in each other: the copy needs a folder of its own.")
    with only_writer(out):
        return _shrink(source, out, config, workers or usable_cores(), progress=progress)


def _shrink(source: Path, out: Path, config: ShrinkConfig, workers: int, *, progress: bool) -> ShrinkReport:
    """What `shrink` does, once nobody else writes the copy."""
    made = out / SETTINGS
    if made.exists() and read_json(made) != asdict(config):
        raise ValueError(f"{out} was made with other settings ({read_json(made)}): give another folder, or remove it.")
    if not made.exists() and not all(is_hidden(path.name) for path in out.iterdir()):  # a kill may leave hidden files
        raise ValueError(f"{out} is not empty, and no copy that was made by shrink: give another folder.")
    write_json(made, asdict(config))
    files = list(_files(source))
    videos = [path for path in files if os.path.splitext(path)[1].lower() in VIDEOS]
    others = sorted(set(files) - set(videos))
    gone = {str(source / name): f"{source / name}: no such file" for name in others if not (source / name).exists()}
    for name in others:
        if str(source / name) not in gone and not (out / name).exists():
            _copy(source / name, out / name)
    tasks = [
        (str(source / name), str(out / name), config) for name in videos if not _is_done(source / name, out / name)
    ]
    problems = gone | dict(_run(tasks, workers, progress=progress))
    sound = [name for name in videos if str(source / name) not in problems]
    speeds, speed_up = _loading(source, out, sound)
    sizes = [sum((folder / name).stat().st_size for name in sound) for folder in (source, out)]
    return ShrinkReport(len(sound), len(others) - len(gone), sizes[0], sizes[1], problems, speeds, speed_up)


def reencode(source: str, target: str, config: ShrinkConfig) -> None:
    """Write a smaller copy of a video.

    Args:
        source: the video; its frames are those that all of specvid reads, turned as players show them.
        target: the file to write, in the container that its suffix names; times of frames are preserved where it can.
        config: size and key frames.

    Raises:
        VideoError: the video cannot be read to its end, or not be written in this container.
    """
    import av
    import cv2

    suffix = os.path.splitext(target)[1].lower()
    codec, options = _CODECS.get(suffix, _MPEG4)
    with open_video(source) as video, replacing_file(target, durable=False) as staging:
        scale = min(1.0, config.short_side / min(video.size))
        height, width = (max(2, 2 * round(side * scale / 2)) for side in video.size)
        times = None if suffix in _CONSTANT_RATE else video.times
        rate = Fraction(video.fps or 25).limit_denominator(1001)
        if codec == "mpeg2video" and suffix != ".m2v" and (times is not None or rate not in _MPEG2_RATES):
            codec, options = _MPEG4  # which knows any rate
        try:
            with av.open(str(staging), "w") as container:
                stream: Any = container.add_stream(codec, rate=rate, options=options)
                stream.width, stream.height, stream.pix_fmt = width, height, _PIXELS.get(codec, "yuv420p")
                stream.gop_size, stream.thread_count = config.gop, 1
                if times is not None:
                    stream.codec_context.time_base = stream.time_base = Fraction(1, _TICKS)
                for number, frame in enumerate(video.stream(np.arange(len(video)))):
                    if frame.shape[:2] != (height, width):
                        frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
                    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                    if times is not None:
                        picture.pts, picture.time_base = round(times[number] * _TICKS), Fraction(1, _TICKS)
                    container.mux(stream.encode(picture))
                container.mux(stream.encode())
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, VideoError) or disk_error(error, target):  # which is no fault of the video
                raise
            raise VideoError(source, f"cannot be written as {codec} in {suffix} ({error})") from None
        with open_video(staging) as copy:
            if len(copy) != len(video):
                raise VideoError(source, f"has {len(video)} frames, its copy {len(copy)}")


def _files(folder: Path) -> Iterator[str]:
    """All files below a folder that are not hidden, relative to it; links to folders are followed, as layouts do."""
    for top, names, files in walk(folder):
        names[:] = sorted(name for name in names if not is_hidden(name))
        yield from (os.path.relpath(os.path.join(top, name), folder) for name in sorted(files) if not is_hidden(name))


def _is_done(source: Path, target: Path) -> bool:
    """Whether a video stands there re-encoded. One that was copied as it is could not be read, and is named again."""
    return target.exists() and not filecmp.cmp(source, target, shallow=False)


def _copy(source: Path, target: Path) -> None:
    with replacing_file(target, durable=False) as staging:
        shutil.copyfile(source, staging)


def _task(source: str, target: str, config: ShrinkConfig) -> str:
    """Re-encode a video in this process, or copy it as it is: why, in the latter case."""
    import av

    av.logging.set_level(av.logging.PANIC)  # what is wrong is reported once, here
    try:
        reencode(source, target, config)
    except VideoError as error:
        if os.path.exists(source):  # else it vanished, or is a link to nothing
            _copy(Path(source), Path(target))
        return str(error)
    return ""


def _run(tasks: Sequence[tuple[str, str, ShrinkConfig]], workers: int, *, progress: bool) -> Iterator[tuple[str, str]]:
    """Do all tasks: (path, problem) of those that were copied as they are."""
    from rich.progress import track

    results = run_tasks(tasks, _task, workers)
    for (source, target, _), problem in track(results, "re-encoding", total=len(tasks), disable=not progress):
        if problem is None:
            _copy(Path(source), Path(target))
        if problem != "":
            yield source, problem or f"{source}: the decoder crashes on it"


def _loading(source: Path, out: Path, names: Sequence[str]) -> tuple[tuple[float, float], float]:
    """Clips per second before and after, side by side, and their ratio."""
    timed = list(names[:: max(1, len(names) // _TIMED)][:_TIMED])
    if not timed:
        return (float("nan"), float("nan")), float("nan")

    def read(folder: Path) -> None:
        for name in timed:
            with open_video(folder / name) as video:
                first = max(0, (len(video) - _FRAMES * _STRIDE) // 2)
                video.frames(np.minimum(first + _STRIDE * np.arange(_FRAMES), len(video) - 1))

    seconds = interleaved({"before": lambda: read(source), "after": lambda: read(out)}, rounds=3)
    rates = [len(timed) / float(np.median(list(seconds[name].values()))) for name in ("before", "after")]
    return (rates[0], rates[1]), rates[1] / rates[0]
