"""Writing a synthetic set: the folder appears complete or not at all, and an existing one is not made again."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specvid.files import replacing_folder
from specvid.reading import parse_json, read_plain
from specvid.registry import Registry
from specvid.text import counted

SETTINGS = "synthetic.json"  # lies beside the official folders and says what was written

Fill = Callable[[Path], Iterator[tuple[int, int]]]
"""Writes a set below a folder; yields (files written, of how many) after each."""

Progress = Callable[[int, int], None]
"""Called after each file: (files written, of how many)."""

SYNTHESIZERS: Registry[Callable[..., "SyntheticSet"]] = Registry("data set")
"""Functions that write a set, by the name of its layout. `specvid.datasets.synthetic` fills it."""


@dataclass(frozen=True)
class SyntheticSet:
    """A set on the disk.

    Attributes:
        root: its folder.
        files: how many it has, the one with its settings not counted.
        written: False where it was there already.
        contents: what is in it, in words: how much to train and to test on, and how long and large it is.
    """

    root: Path
    files: int
    written: bool
    contents: str


def synthesizer(layout: str) -> Callable[[Callable[..., SyntheticSet]], Callable[..., SyntheticSet]]:
    """Register the function that writes synthetic sets in a layout.

    Args:
        layout: as ``specvid data synthesize`` takes it.

    Returns:
        The decorator.
    """
    return SYNTHESIZERS.register(layout)


def look(frames: int, width: int, height: int) -> str:
    """How each clip, film or tracklet of a set looks, in words.

    Args:
        frames: of each.
        width: of a frame, px.
        height: likewise.

    Returns:
        E.g. ``16 frames of 40 x 40 px each``.
    """
    return f"{counted(frames, 'frame')} of {width} x {height} px each"


def action_contents(noun: str, train: int, test: int, frames: int, size: int, *, validation: int = 0) -> str:
    """What is in a set of actions, in words, and with which clips a network sees nearly all of each.

    Args:
        noun: what its videos are called.
        train: how many to train on.
        test: how many to test on.
        frames: of each.
        size: sides of a frame, px.
        validation: how many to validate on.

    Returns:
        Without a full stop.
    """
    seen = min(frames, 8)
    stride = (frames - 1) // (seen - 1)
    between = f"{validation:,} to validate on, " if validation else ""
    return (
        f"{counted(train, noun)} to train on, {between}{test:,} to test on, {look(frames, size, size)}; "
        f"train with --frames {seen} --stride {stride}"
    )


def require_seed(seed: int) -> None:
    """Refuse what no random generator starts from.

    Args:
        seed: of the set.

    Raises:
        ValueError: it is negative.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be a whole number >= 0")


def write_set(
    out: str | os.PathLike[str],
    settings: Mapping[str, Any],
    fill: Fill,
    *,
    contents: str,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SyntheticSet:
    """Write a set, unless it is there already, made with the same settings.

    Args:
        out: its folder.
        settings: all that decides what is in it; JSON.
        fill: writes it.
        contents: what is in it, in words.
        overwrite: replace a synthetic set that was made with other settings.
        progress: called after each file.

    Returns:
        The set.

    Raises:
        ValueError: a negative seed, or the folder holds something else.
    """
    require_seed(settings["seed"])
    out = Path(out)
    if (files := _is_there(out, settings, overwrite=overwrite)) is not None:
        return SyntheticSet(out, files, written=False, contents=contents)
    with replacing_folder(out, durable=False) as staging:
        for done, total in fill(staging):
            if progress is not None:
                progress(done, total)
        files = _count(staging)
        text = json.dumps({**settings, "files": files}, indent=2) + "\n"
        (staging / SETTINGS).write_text(text, encoding="utf-8")
    return SyntheticSet(out, files, written=True, contents=contents)


def _is_there(out: Path, settings: Mapping[str, Any], *, overwrite: bool) -> int | None:
    """The number of files where ``out`` is the wanted set already, None where it may be written; else ValueError."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; the set needs a folder")
    if not out.is_dir() or not any(out.iterdir()):
        return None
    try:
        found = parse_json(read_plain(out / SETTINGS))
        files = found.pop("files")
    except (OSError, ValueError, AttributeError, KeyError):
        raise ValueError(
            f"{out} is there and is no synthetic set (it has no {SETTINGS}); choose another folder, or remove it"
        ) from None
    if found == settings and _count(out) == files:
        return files
    if not overwrite:
        others = [key for key in settings if found.get(key) != settings[key]]
        what = ", ".join(f"{key} {found.get(key)} instead of {settings[key]}" for key in others)
        what = what or "some of its files are missing"
        raise ValueError(f"{out} holds another synthetic set ({what}); choose another folder, or overwrite it")
    return None


def _count(folder: Path) -> int:
    """Files below a folder, without the settings."""
    return sum(1 for path in folder.rglob("*") if path.is_file() and path.name != SETTINGS)
