"""From what a tracker writes to the table of crops that ``specvid embed`` reads (docs/tracking.md).

    python -m specvid.tools.data.tracks cut VIDEO MOT.txt OUT --camera door
    python -m specvid.tools.data.tracks name FOLDER OUT.csv --names '(?P<track>\\d+)_(?P<frame>\\d+)' --fps 25

``cut`` cuts the boxes in MOT.txt out of the video: it writes OUT/door/TRACK/FRAME.jpg and OUT/door.csv. ``name`` makes
the table of crops that lie in a folder already. In the table a row is a crop: ``path``, ``pid`` (nobody knows yet who
it is, so camera and track), ``camid``, ``track``, ``frame``, and ``from_s`` and ``to_s``, between which the track was
seen.
"""

import csv
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from specvid.datasets.decode import open_video
from specvid.datasets.decode.base import Video
from specvid.datasets.layouts.media import is_image
from specvid.datasets.layouts.text import read_text
from specvid.files import output_file, output_folder, replacing_file
from specvid.pipelines.engine.log import echo
from specvid.text import counted, path_on_one_line
from specvid.tools.data.left_out import reasons
from specvid.tools.data.mot import Box, is_plain_name, read_mot
from specvid.tools.program import Program

_CUT = """Cut the boxes in a tracker's file out of a video.

    python -m specvid.tools.data.tracks cut door.mp4 door.txt tracks --camera door --every 2 --least 4

Writes tracks/door/TRACK/FRAME.jpg and the table tracks/door.csv. The file is as the MOT Challenge has it, a line for
each box: frame (from 1), track, left, top, width, height in px; what follows is ignored.
"""
_NAME = """Write the table of crops that lie in a folder already, and are named by track and frame.

    python -m specvid.tools.data.tracks name crops crops.csv --names '(?P<track>\\d+)_(?P<frame>\\d+)' --fps 25

The expression is looked for in each path below the folder: ``7_0012.jpg`` is frame 12 of track 7. With
``(?P<camera>...)`` it tells cameras apart, too.
"""

COLUMNS = ("path", "pid", "camid", "track", "frame", "from_s", "to_s")
_BLOCK = 32  # frames that are decoded together


def cut(
    video: str, mot: str, out: str | os.PathLike[str], *, camera: str, every: int = 1, least: int = 1
) -> tuple[Path, dict[str, int]]:
    """Cut the boxes of a tracker out of a video.

    Crops that an earlier table of this camera names, and the new one does not, are removed; other files are not.

    Args:
        video: the file.
        mot: the tracker's file.
        out: folder for the crops and their table.
        camera: its name, which the crops' folder and the table get.
        every: only every n-th box of a track, from 1.
        least: tracks with fewer boxes are left out, from 1.

    Returns:
        The table, and how many ``crops`` and ``tracks`` it has, what was left out: boxes ``outside`` the picture and
        behind the ``end`` of the video, which has so many ``frames``, and ``short`` tracks; and how many crops of an
        earlier table were ``removed``.

    Raises:
        OSError: the disk is full, or may not be written.
        ValueError: a wrong file or number, or nothing that can be cut out.
    """
    if not re.fullmatch(r"[\w-]+", camera):
        raise ValueError(f"camera {camera!r} must be a plain name (letters, digits, _ and -).")
    for option, value in (("--every", every), ("--least", least)):
        if value < 1:
            raise ValueError(f"{option} {value} must be at least 1.")
    folder = Path(out)
    table = folder / f"{camera}.csv"
    output_file("table", str(table))
    output_folder("folder of crops", str(folder / camera))
    before = _cut_before(table, camera)
    tracks: dict[str, list[Box]] = {}
    for box in sorted(read_mot(mot), key=lambda one: one.frame):
        tracks.setdefault(box.track, []).append(box)
    long_enough = [own for own in tracks.values() if len(own) >= least]
    chosen = [box for own in long_enough for box in own[::every]]
    rows, length = _write_crops(video, chosen, folder, camera)
    end = sum(box.frame >= length for box in chosen)
    outside, short = len(chosen) - end - len(rows), len(tracks) - len(long_enough)
    counts = {"outside": outside, "end": end, "frames": length, "short": short}
    if not rows:
        passed = sum(map(len, long_enough)) - len(chosen)
        why = [
            *reasons(counts, least=least),
            *([f"{counted(passed, 'box')} passed over by --every {every}"] if passed else []),
        ]
        raise ValueError(
            f"nothing of {mot} can be cut out of {video}: {counted(sum(map(len, tracks.values())), 'box')} of "
            f"{counted(len(tracks), 'track')}, {', '.join(why)}. Give the video that the tracker read, or a lower "
            "--least."
        )
    counts["crops"], counts["tracks"] = len(rows), write_table(table, rows, camera=camera)
    counts["removed"] = _remove(folder, before - {str(row["path"]) for row in rows})
    return table, counts


def _write_crops(video: str, chosen: Sequence[Box], folder: Path, camera: str) -> tuple[list[dict[str, object]], int]:
    """Write what lies within the video; the rows of the table, and how many frames the video has."""
    rows: list[dict[str, object]] = []
    with open_video(video) as opened:
        by_frame: dict[int, list[Box]] = {}
        for box in chosen:
            if box.frame < len(opened):
                by_frame.setdefault(box.frame, []).append(box)
        frames = np.array(sorted(by_frame), dtype=np.int64)
        for start in range(0, len(frames), _BLOCK):
            numbers = frames[start : start + _BLOCK]
            for number, picture in zip(numbers.tolist(), opened.frames(numbers), strict=True):
                for box in by_frame[number]:
                    crop, path = _inside(picture, box), _crop_path(camera, box.track, number)
                    if crop is not None:
                        _write_jpeg(folder / path, crop)
                        rows.append({"path": path, "track": box.track, "frame": number, "time": _time(opened, number)})
        return rows, len(opened)


def _crop_path(camera: str, track: str, frame: int) -> str:
    """Where a crop lies, below the folder that was given."""
    return f"{camera}/{track}/{frame:06d}.jpg"


def _write_jpeg(path: Path, picture: np.ndarray) -> None:
    """Write a picture, RGB; an error leaves no half of a file."""
    import cv2

    data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
    with replacing_file(path, durable=False) as staging:
        staging.write_bytes(data)


def _cut_before(table: Path, camera: str) -> set[str]:
    """The crops in a table that `cut` wrote: rows as it writes them. Those that somebody has changed are the user's."""
    crops: set[str] = set()
    if not table.is_file():
        return crops
    try:
        heading, *rows = csv.reader(read_text(table).splitlines())
        for path, pid, camid, track, frame, *_ in rows if heading == list(COLUMNS) else ():
            if is_plain_name(track) and path == _crop_path(camera, track, int(frame)):
                crops |= {path} if (pid, camid) == (f"{camera}-{track}", camera) else set()
    except (ValueError, csv.Error):  # another's table
        return set()
    return crops


def _remove(folder: Path, crops: set[str]) -> int:
    """Remove crops, and folders of tracks that are empty then; how many were there."""
    there = [folder / crop for crop in sorted(crops) if (folder / crop).is_file()]
    for path in there:
        path.unlink()
    for parent in {path.parent for path in there}:
        with suppress(OSError):  # other files lie in it
            parent.rmdir()
    return len(there)


def name(
    folder: str | os.PathLike[str], table: str | os.PathLike[str], names: str, *, camera: str = "camera", fps: float = 0
) -> dict[str, int]:
    """The table of crops that lie in a folder already, named by track and frame.

    Args:
        folder: of the images, at any depth.
        table: CSV to write.
        names: regular expression for paths below the folder, with the groups ``track`` and ``frame``, and perhaps
            ``camera``.
        camera: for those without such a group.
        fps: frames a second, above 0; without it (0) the table has no times.

    Returns:
        How many ``crops`` and ``tracks`` it has, and how many images are ``unfit``: the expression does not fit them,
        or finds no track or no frame.

    Raises:
        OSError: the disk is full, or may not be written.
        ValueError: no folder, a wrong expression or rate, no image that fits, or two that would be one.
    """
    if not os.path.isdir(folder):
        kind = "is a file, no folder" if os.path.exists(folder) else "is no folder: there is none of that name"
        raise ValueError(f"{path_on_one_line(folder)} {kind}. Give the folder in which the crops lie.")
    if fps and not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"--fps {fps:g} must be a finite number above 0; leave it out for a table without times.")
    pattern, folder, table, unfit = _pattern(names), Path(folder), Path(table), 0
    cameras: dict[str, list[dict[str, object]]] = {}
    for place, _, files in sorted(os.walk(folder)):
        for path in sorted(Path(place, file) for file in files if is_image(file)):
            found = pattern.search(path.relative_to(folder).as_posix())
            if found is None or not found["track"] or not (found["frame"] or "").isdecimal():
                unfit += 1
                continue
            groups, frame = found.groupdict(), int(found["frame"])
            row = {"path": os.path.relpath(path, table.parent), "track": groups["track"], "frame": frame}
            own = cameras.setdefault(groups.get("camera") or camera, [])
            own.append(row | {"time": frame / fps if fps else None})
    if not cameras:
        raise ValueError(
            f"{folder} has no image whose path fits {names!r} ({unfit} images do not). Mend the expression."
        )
    rows = [row | {"camera": which} for which, own in cameras.items() for row in own]
    _refuse_two_cameras(rows, names)
    return {"crops": len(rows), "tracks": write_table(table, rows, camera=camera), "unfit": unfit}


def _pattern(names: str) -> re.Pattern[str]:
    """The regular expression for the names of crops; ValueError where it is none, or lacks a group."""
    try:
        pattern = re.compile(names)
    except re.error as error:
        raise ValueError(f"names {names!r} is no regular expression: {error}.") from None
    if not {"track", "frame"} <= set(pattern.groupindex):
        raise ValueError(f"names {names!r} must have the groups (?P<track>...) and (?P<frame>...).")
    return pattern


def _refuse_two_cameras(rows: Sequence[Mapping[str, object]], names: str) -> None:
    """ValueError where two images are the same frame of the same track."""
    seen: dict[tuple[object, ...], object] = {}
    for row in rows:
        key = row["camera"], row["track"], row["frame"]
        if key in seen:
            raise ValueError(
                f"{str(seen[key])!r} and {str(row['path'])!r} would both be frame {row['frame']} of track "
                f"{row['track']!r} of camera {row['camera']!r}: have {names!r} tell cameras apart, (?P<camera>...), "
                "or make a table for each folder, with a --camera of its own."
            )
        seen[key] = row["path"]


def write_table(path: Path, rows: Sequence[Mapping[str, object]], *, camera: str) -> int:
    """Write the table of crops.

    Args:
        path: CSV to write.
        rows: with ``path``, ``track``, ``frame``, ``time`` (s, or None) and perhaps ``camera``.
        camera: of rows without one.

    Returns:
        The number of tracks.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError(f"there is no crop to write into {path}.")
    spans: dict[tuple[object, object], list[float]] = {}
    for row in rows:
        if row["time"] is not None:
            spans.setdefault((row.get("camera", camera), row["track"]), []).append(float(str(row["time"])))
    with replacing_file(path) as staging, staging.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for row in rows:
            where, track = row.get("camera", camera), row["track"]
            times = spans.get((where, track), [])
            seen = [f"{min(times):.3f}", f"{max(times):.3f}"] if times else ["", ""]
            table.writerow([row["path"], f"{where}-{track}", where, track, row["frame"], *seen])
    return len({(row.get("camera", camera), row["track"]) for row in rows})


def _inside(picture: np.ndarray, box: Box) -> np.ndarray | None:
    """The part of a box that lies within the picture; None where there is none."""
    height, width = picture.shape[:2]
    left, top, right, bottom = (round(side) for side in box.corners)
    left, top, right, bottom = max(0, left), max(0, top), min(width, right), min(height, bottom)
    return picture[top:bottom, left:right] if right > left and bottom > top else None


def _time(video: Video, frame: int) -> float | None:
    """When a frame is shown, s; None where the video does not say."""
    time = float(video.timing.start(np.array([frame]))[0])
    return None if np.isnan(time) else time


def main(words: Sequence[str] | None = None) -> int:
    """The command line.

    Args:
        words: without the name of the program.

    Returns:
        The exit code.
    """
    parser = Program("data.tracks", __doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("cut", help="cut the boxes in a tracker's file out of a video", about=_CUT)
    one.add_argument("video", help="the video that the tracker read")
    one.add_argument("mot", metavar="MOT.txt", help="the tracker's file")
    one.add_argument("out", help="folder for crops and table")
    one.add_argument("--camera", required=True, help="name of the camera, one for each recording")
    one.add_argument("--every", type=int, default=1, metavar="N", help="only every n-th box of a track; 1: all")
    one.add_argument("--least", type=int, default=1, metavar="N", help="leave out tracks of fewer boxes; 1: none")
    other = verbs.add_parser("name", help="the table of crops that are named by track and frame", about=_NAME)
    other.add_argument("folder", help="in which the crops lie, at any depth")
    other.add_argument("table", help="CSV to write")
    other.add_argument("--names", required=True, help="regular expression with (?P<track>...) and (?P<frame>...)")
    other.add_argument("--camera", default="camera", help="name of the camera, if the names have no (?P<camera>...)")
    other.add_argument("--fps", type=float, default=0.0, help="frames a second; without it the table has no times")
    options = parser.parse_args(words)
    try:
        if options.verb == "cut":
            own = {"camera": options.camera, "every": options.every, "least": options.least}
            table, counts = cut(options.video, options.mot, output_folder("out", options.out), **own)
        else:
            table = output_file("table", options.table)
            counts = name(options.folder, table, options.names, camera=options.camera, fps=options.fps)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{_sentence(error)}\n")
        return 2
    removed = counts.get("removed", 0)
    echo(
        f"{table}: {counted(counts['crops'], 'crop')} of {counted(counts['tracks'], 'track')}"
        + (f"; removed: {counted(removed, 'crop')} of the table before" if removed else "")
    )
    for what, remedy in reasons(counts, least=getattr(options, "least", 1)).items():
        echo(f"left out: {what}: {remedy}")
    return 0


def _sentence(error: ValueError | OSError) -> str:
    """The message about an error: the system's own are no sentences."""
    if isinstance(error, OSError) and error.strerror:
        what = "a file" if error.filename is None else repr(path_on_one_line(str(error.filename)))
        return f"{what} cannot be used ({error.strerror}): mend that, or name another place."
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
