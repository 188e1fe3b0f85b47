"""A tracker's text file as the MOT Challenge has it: frame (from 1), track, left, top, width, height in a line a box.

What follows the height is not read. Commas, semicolons or tabs part the fields, one between two of them, so that an
empty field stays one; or spaces, any number of them.
"""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from specvid.datasets.layouts.text import read_text

_NAME = re.compile(r"[\w-]{1,100}")  # of a folder, too
_FLOAT = re.compile(r"[+-]?\d+(\.\d*([eE][+-]?\d+)?|[eE][+-]\d+)")  # 1e5 is a name, perhaps of a hash
_EXACT = 2**53  # below which a float tells whole numbers apart


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


def is_plain_name(text: str) -> bool:
    """Whether a track may be called so: its crops get a folder of that name.

    Args:
        text: any.

    Returns:
        True for 1 to 100 letters, digits, _ and -.
    """
    return _NAME.fullmatch(text) is not None


def read_mot(path: str | os.PathLike[str]) -> list[Box]:
    """Read a MOT file.

    Args:
        path: of the file; fields are separated by semicolons, commas, tabs or spaces, the same in all of a line.

    Returns:
        Its boxes.

    Raises:
        OSError: it cannot be read.
        ValueError: there is no such file, a line is none of MOT or of a detection (track -1), or a track has two boxes
            in a frame; the line is named.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is no file; give the tracker's MOT text file.")
    boxes: list[Box] = []
    lines: dict[tuple[int, str], int] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        box = _box(line, f"{path}, line {number}")
        first = lines.setdefault((box.frame, box.track), number)
        if first != number:
            raise ValueError(
                f"{path}, lines {first} and {number} are both boxes of track {box.track} in frame {box.frame + 1}, and "
                "a track has one box in a frame: remove one, or give each person a track."
            )
        boxes.append(box)
    if not boxes:
        raise ValueError(f"{path} has no box in it.")
    return boxes


def _box(line: str, where: str) -> Box:
    """The box of a line."""
    fields = _fields(line)
    try:
        frame, left, top, width, height = (float(fields[i]) for i in (0, 2, 3, 4, 5))
        corners = (left, top, left + width, top + height)
        if not all(map(math.isfinite, (frame, *corners))):
            raise ValueError
    except (IndexError, ValueError):
        raise ValueError(
            f"{where}: {line[:80]!r} is not frame, track, left, top, width, height, with one separator: none may be "
            "empty, and all but the track, left + width and top + height must be finite numbers (10.5, not 10,5)."
        ) from None
    if frame < 1 or not frame.is_integer():
        raise ValueError(f"{where}: frame {fields[0]} must be a whole number from 1.")
    return Box(int(frame) - 1, _track(fields[1], where), corners)


def _fields(line: str) -> list[str]:
    """The fields of a line, by the first of its separators that is there: two of them shift columns (1;1;10,5)."""
    separator = next((one for one in ";,\t" if one in line), None)
    return [field.strip() for field in line.split(separator)]


def _track(field: str, where: str) -> str:
    """The name of a track, without a point where it is a number: numpy writes track 2 as 2.000000000000000000e+00."""
    name = field
    if _FLOAT.fullmatch(field):
        number = float(field)
        name = str(int(number)) if number.is_integer() and abs(number) < _EXACT else ""
    if not is_plain_name(name):
        raise ValueError(
            f"{where}: track {field[:80]!r} must be a whole number (below 2^53 if it has a point) or a plain name (at "
            "most 100 letters, digits, _ and -)."
        )
    if name == "-1":
        raise ValueError(
            f"{where}: track -1 is none, these are detections: run a tracker over them and give its file, or leave "
            "such lines out."
        )
    return name
