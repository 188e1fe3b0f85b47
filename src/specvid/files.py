"""Folders that are replaced whole: a checkpoint is the old one or the new one, wherever the process is killed."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}")


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Replaces ``folder`` by what ``write(staging folder)`` writes.

    The new content is written aside and flushed to disk, gets the name ``.NAME.ready`` in one rename (from here on it
    counts), and then takes the
    place of the old one. A kill at any point leaves either the old folder, or a ready one that ``settle`` puts in
    place.
    """
    settle(folder)
    staging = _beside(folder, "writing")
    staging.mkdir(parents=True)
    write(staging)
    for path in [*staging.rglob("*"), staging]:
        _flush(path)
    os.replace(staging, _beside(folder, "ready"))
    settle(folder)


def settle(folder: Path) -> None:
    """Finishes a replacement that was interrupted and removes its leftovers.

    Only the process that writes may call it.
    """
    ready, old = _beside(folder, "ready"), _beside(folder, "old")
    if ready.exists():
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.replace(folder, old)
        os.replace(ready, folder)
    for leftover in (old, _beside(folder, "writing")):
        shutil.rmtree(leftover, ignore_errors=True)


def whole(folder: Path) -> Path:
    """Where the complete content of ``folder`` lies now, without touching anything: for readers."""
    ready = _beside(folder, "ready")
    return ready if ready.exists() and not folder.exists() else folder


def write_json(path: Path, content: Any) -> None:
    """Writes JSON in one rename."""
    staging = path.with_name(f".{path.name}.writing")
    staging.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    _flush(staging)
    os.replace(staging, path)


def _flush(path: Path) -> None:
    """Forces a file, or a folder's list of names, onto the disk."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
