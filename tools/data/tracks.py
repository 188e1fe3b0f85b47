"""From what a tracker writes to the table of crops that ``specvid embed`` reads (docs/tracking.md).

    python -m specvid.tools.data.tracks cut VIDEO MOT.txt OUT --camera door
    python -m specvid.tools.data.tracks name FOLDER OUT.csv --names '(?P<track>\\d+)_(?P<frame>\\d+)' --fps 25

The first one writes OUT/door/TRACK/FRAME.jpg and OUT/door.csv. A MOT file has a line a box: frame (from 1), track,
left, top, width, height (px), perhaps more. In the table a row is a crop: ``path``, ``pid`` (who it is nobody knows
yet, so camera and track), ``camid``, ``track``, ``frame``, and ``from_s`` and ``to_s``, between which the track was
seen.
"""

import argparse
import csv
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specvid.datasets.decode import open_video
from specvid.datasets.decode.base import Video
from specvid.datasets.layouts.media import is_image
from specvid.datasets.layouts.text import read_text
from specvid.files import output_file, output_folder, replacing_file
from specvid.pipelines.engine.log import echo
from specvid.text import counted

COLUMNS = ("path", "pid", "camid", "track", "frame", "from_s", "to_s")
_BLOCK = 32  # frames that are decoded together


@dataclass(frozen=True)
class Box:
    """A box of a track.

    Args:
        frame: from 0.
        track: its number or name.
        corners: left, top, right, bottom, px, as the tracker has them.
    """

    frame: int
    track: str
    corners: tuple[float, float, float, float]


def read_mot(path: str | os.PathLike[str]) -> list[Box]:
    """Read a MOT file.

    Args:
        path: of the file; separated by commas, semicolons or spaces.

    Returns:
        Its boxes.

    Raises:
        ValueError: there is no such file, or a line is none of MOT; the line is named.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is no file; give the tracker's MOT text file.")
    boxes = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        values = [value for value in re.split(r"[,;\s]+", line.strip()) if value]
        if not values:
            continue
        try:
            frame, left, top, width, height = (float(values[i]) for i in (0, 2, 3, 4, 5))
            track = values[1] if not re.fullmatch(r"-?\d+\.0*", values[1]) else values[1].split(".")[0]
            if not all(map(math.isfinite, (frame, left, top, width, height))):
                raise ValueError
        except (IndexError, ValueError):
            raise ValueError(
                f"{path}, line {number}: {line[:80]!r} is not frame, track, left, top, width, height."
            ) from None
        if frame < 1 or not frame.is_integer():
            raise ValueError(f"{path}, line {number}: frame {values[0]} must be a whole number from 1.")
        if not re.fullmatch(r"[\w-]{1,100}", track):
            raise ValueError(f"{path}, line {number}: track {track[:80]!r} must be a number or a plain name.")
        boxes.append(Box(int(frame) - 1, track, (left, top, left + width, top + height)))
    if not boxes:
        raise ValueError(f"{path} has no box in it.")
    return boxes


def cut(
    video: str, mot: str, out: str | os.PathLike[str], *, camera: str, every: int = 1, least: int = 1
) -> tuple[Path, dict[str, int]]:
    """Cut the boxes of a tracker out of a video.

    Args:
        video: the file.
        mot: the tracker's file.
        out: folder for the crops and their table.
        camera: its name, which the crops' folder and the table get.
        every: only each so many-th frame of a track.
        least: tracks with fewer boxes are left out.

    Returns:
        The table, and how many ``crops`` and ``tracks`` it has, and what was left out: ``outside`` the picture, behind
        the ``end`` of the video, ``short`` tracks.

    Raises:
        ValueError: a wrong file, or nothing that can be cut out.
    """
    import cv2

    if not re.fullmatch(r"[\w-]+", camera):
        raise ValueError(f"camera {camera!r} must be a plain name (letters, digits, _ and -).")
    tracks: dict[str, list[Box]] = {}
    for box in sorted(read_mot(mot), key=lambda one: one.frame):
        tracks.setdefault(box.track, []).append(box)
    counts = {"crops": 0, "tracks": 0, "outside": 0, "end": 0}
    counts["short"] = sum(len(own) < least for own in tracks.values())
    chosen = [box for own in tracks.values() if len(own) >= least for box in own[::every]]
    by_frame: dict[int, list[Box]] = {}
    for box in chosen:
        by_frame.setdefault(box.frame, []).append(box)
    folder = Path(out)
    rows: list[dict[str, object]] = []
    with open_video(video) as opened:
        frames = np.array(sorted(frame for frame in by_frame if frame < len(opened)), dtype=np.int64)
        counts["end"] = sum(len(own) for frame, own in by_frame.items() if frame >= len(opened))
        for start in range(0, len(frames), _BLOCK):
            numbers = frames[start : start + _BLOCK]
            for number, picture in zip(numbers.tolist(), opened.frames(numbers), strict=True):
                for box in by_frame[number]:
                    crop = _inside(picture, box)
                    if crop is None:
                        counts["outside"] += 1
                        continue
                    name = f"{camera}/{box.track}/{number:06d}.jpg"
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    if not cv2.imwrite(str(folder / name), cv2.cvtColor(crop, cv2.COLOR_RGB2BGR)):
                        raise OSError(f"{folder / name} cannot be written.")
                    rows.append({"path": name, "track": box.track, "frame": number, "time": _time(opened, number)})
    table = folder / f"{camera}.csv"
    counts["crops"], counts["tracks"] = len(rows), write_table(table, rows, camera=camera)
    return table, counts


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
        fps: frames a second; without it the table has no times.

    Returns:
        How many ``crops`` and ``tracks`` it has, and how many images do not ``fit`` the expression.

    Raises:
        ValueError: a wrong expression, no image that fits it, or two that would be one.
    """
    try:
        pattern = re.compile(names)
    except re.error as error:
        raise ValueError(f"names {names!r} is no regular expression: {error}.") from None
    if not {"track", "frame"} <= set(pattern.groupindex):
        raise ValueError(f"names {names!r} must have the groups (?P<track>...) and (?P<frame>...).")
    folder, table, unfit = Path(folder), Path(table), 0
    cameras: dict[str, list[dict[str, object]]] = {}
    for place, _, files in sorted(os.walk(folder)):
        for path in sorted(Path(place, file) for file in files if is_image(file)):
            found = pattern.search(path.relative_to(folder).as_posix())
            if found is None or not found["frame"].isdecimal():
                unfit += 1
                continue
            groups, frame = found.groupdict(), int(found["frame"])
            row = {"path": os.path.relpath(path, table.parent), "track": groups["track"], "frame": frame}
            own = cameras.setdefault(groups.get("camera") or camera, [])
            own.append(row | {"time": frame / fps if fps else None})
    if not cameras:
        raise ValueError(f"{folder} has no image whose path fits {names!r} ({unfit} images do not).")
    rows = [row | {"camera": which} for which, own in cameras.items() for row in own]
    _refuse_two_cameras(rows, names)
    return {"crops": len(rows), "tracks": write_table(table, rows, camera=camera), "unfit": unfit}


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
        raise ValueError(f"there is nothing to write into {path}: no box lies within a picture of the video.")
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
    parser = argparse.ArgumentParser(prog="python -m specvid.tools.data.tracks", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("cut", help="cut the boxes of a MOT file out of a video")
    for word, text in (("video", "video file"), ("mot", "MOT text file"), ("out", "folder for crops and table")):
        one.add_argument(word, help=text)
    one.add_argument("--camera", required=True, help="name of the camera")
    one.add_argument("--every", type=int, default=1, help="each so many-th frame of a track")
    one.add_argument("--least", type=int, default=1, help="least boxes of a track")
    other = verbs.add_parser("name", help="the table of crops that are named by track and frame")
    other.add_argument("folder", help="of the crops")
    other.add_argument("table", help="CSV to write")
    other.add_argument("--names", required=True, help="regular expression with (?P<track>...), (?P<frame>...)")
    other.add_argument("--camera", default="camera", help="name of the camera, if the names have no (?P<camera>...)")
    other.add_argument("--fps", type=float, default=0.0, help="frames a second")
    options = parser.parse_args(words)
    try:
        if options.verb == "cut":
            own = {"camera": options.camera, "every": max(1, options.every), "least": options.least}
            table, counts = cut(options.video, options.mot, output_folder("out", options.out), **own)
        else:
            table = output_file("table", options.table)
            counts = name(options.folder, table, options.names, camera=options.camera, fps=options.fps)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    left = ", ".join(f"{count} {what}" for what, count in counts.items() if count and what not in ("crops", "tracks"))
    echo(
        f"{table}: {counted(counts['crops'], 'crop')} of {counted(counts['tracks'], 'track')}"
        + (f"; left out: {left}" if left else "")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
