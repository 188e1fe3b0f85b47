"""Atomic writes: whatever reads a file or folder sees the old content or the new one, wherever the writer is killed.

| to write                       | use                                           |
|--------------------------------|-----------------------------------------------|
| a file                         | `replacing_file`, `write_text`, `write_json`  |
| a folder that belongs together | `replacing_folder`; `recover` after a kill    |
| to read such a folder          | `current`                                     |
| to read such JSON              | `read_json`                                   |

New content is written beside the old one, under a hidden name with ``.writing`` in it, is forced onto the disk and then
takes its place in one rename.
"""

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_LARGEST_JSON = 256 * 2**20  # bytes; results of large evaluations have some MB


@contextmanager
def replacing_file(path: str | Path, *, folder: Path | None = None, durable: bool = True) -> Iterator[Path]:
    """A file to write in place of ``path``, which it becomes where the block ends without an error.

    Args:
        path: the file to replace or to create; its folder is created where it is missing.
        folder: where the unfinished file lies, on the same disk; for files that several processes may write at the same
            time, since its name then holds host and process. Beside ``path`` if not given.
        durable: force the content onto the disk before the rename, so that a crash of the machine loses nothing.

    Yields:
        The path of the unfinished file, with the suffix of ``path``. An error removes it.
    """
    path = Path(path)
    if folder is None:
        staging = path.with_name(f".{path.stem}.writing{path.suffix}")
    else:
        staging = folder / f"{path.stem}.{socket.gethostname()}.{os.getpid()}{path.suffix}"
    for parent in {path.parent, staging.parent}:
        parent.mkdir(parents=True, exist_ok=True)
    try:
        yield staging
        if durable:
            _flush(staging)
        os.replace(staging, path)
    except (Exception, KeyboardInterrupt):
        staging.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text to ``path`` in one rename.

    Args:
        path: the file to replace or to create.
        text: its content.
    """
    with replacing_file(path) as staging:
        staging.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON to ``path`` in one rename.

    Args:
        path: the file to replace or to create.
        content: what JSON knows.

    Raises:
        ValueError: a number is not finite; JSON has no word for it.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def replacing_folder(folder: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """A folder to fill in place of ``folder``, which it becomes where the block ends without an error.

    The filled folder is first renamed to ``.NAME.ready``: from here on it counts. Then it takes the place of the old
    one. A kill at any point leaves either the old folder, or a ready one: `recover` puts it in place, `current` finds
    it for readers.

    Args:
        folder: the folder to replace or to create. Only one process may write it at a time.
        durable: force all files onto the disk before the rename, so that a crash of the machine loses nothing.

    Yields:
        The empty folder to fill. An error removes it.
    """
    folder = Path(folder)
    recover(folder)
    staging = _beside(folder, "writing")
    staging.mkdir(parents=True)
    try:
        yield staging
        if durable:
            for path in [*staging.rglob("*"), staging]:
                _flush(path)
        os.replace(staging, _beside(folder, "ready"))
    except (Exception, KeyboardInterrupt):
        shutil.rmtree(staging, ignore_errors=True)
        raise
    recover(folder)


def read_json(path: str | Path) -> dict[str, Any]:
    """Read the JSON object that ``path`` holds.

    Args:
        path: the file; somebody else may have written it.

    Returns:
        Its content.

    Raises:
        ValueError: it cannot be read, is no JSON, or is no object; the file is named.
    """
    try:
        size = os.path.getsize(path)
        text = Path(path).read_bytes() if size <= _LARGEST_JSON else b""
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read ({error.strerror}).") from None
    if size > _LARGEST_JSON:
        raise ValueError(f"{str(path)!r} is no file of settings: it has {size / 2**20:,.0f} MiB.")
    try:
        content = json.loads(text.decode("utf-8"))
    except RecursionError:
        raise ValueError(f"{str(path)!r} is no JSON of specvid: it is nested too deeply.") from None
    except ValueError as error:  # also one of bytes that are not UTF-8, and one of a number with thousands of digits
        raise ValueError(f"{str(path)!r} is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{str(path)!r} must hold one JSON object, and holds {str(content)[:60]!r}.")
    return content


def recover(folder: str | Path) -> None:
    """Finish a replacement of ``folder`` that was interrupted, and remove what it left behind.

    Args:
        folder: as given to `replacing_folder`. Only the process that writes it may call this.
    """
    folder = Path(folder)
    ready, old = _beside(folder, "ready"), _beside(folder, "old")
    if ready.exists():
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.replace(folder, old)
        os.replace(ready, folder)
    for leftover in (old, _beside(folder, "writing")):
        shutil.rmtree(leftover, ignore_errors=True)


def current(folder: str | Path) -> Path:
    """Where the complete content of ``folder`` lies now; nothing is changed, so any reader may ask.

    Args:
        folder: as given to `replacing_folder`.

    Returns:
        ``folder`` itself, or the ready one beside it where a kill came before the last rename.
    """
    folder = Path(folder)
    ready = _beside(folder, "ready")
    return ready if ready.exists() and not folder.exists() else folder


def _beside(folder: Path, state: str) -> Path:
    """The hidden neighbour of ``folder`` in a state of its replacement."""
    return folder.with_name(f".{folder.name}.{state}")


def _flush(path: Path) -> None:
    """Force a file, or a folder's list of names, onto the disk."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
