"""What somebody else wrote is read of plain files only; text and JSON of a size that a list or a table can have."""

import json
import os
from pathlib import Path
from typing import Any

from specvid.text import path_on_one_line

_LARGEST = 2**31  # bytes; a list of ten million clips has half of it
_LARGEST_JSON = 256 * 2**20  # bytes; results of large evaluations have some MB
_FIX = "Put a sound copy of it there, or have it written again."
_DEEPEST = 100  # levels; what goes through JSON level by level then stays far within Python's limit of calls


def read_plain(path: str | Path, *, largest: int = _LARGEST) -> bytes:
    """The bytes of a plain file: a device may never end, and a pipe never begin.

    Args:
        path: the file.
        largest: bytes that it may have.

    Returns:
        Its bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is a folder, device, pipe or socket, or larger.
    """
    require_plain(path)
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > largest:
            raise ValueError(f"{str(path)!r} is not read: it has more than {largest // 2**20:,} MiB, as none should.")
        return file.read()


def require_plain(path: str | os.PathLike[str]) -> None:
    """Refuse to read from anything but a plain file, before something is opened that waits for ever.

    Args:
        path: the file; one that is not there passes, for whoever opens it to say so.

    Raises:
        ValueError: it is a folder, device, pipe or socket.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        named = path_on_one_line(path)
        raise ValueError(f"'{named}' is no plain file: a folder, a device or a pipe; nothing is read from it.")


def require_plain_files(folder: str | os.PathLike[str]) -> None:
    """Refuse a folder of files that belong together in which one is none: what reads them would wait for ever.

    Libraries open them by many ways; a run or a data set of embeddings has no use for anything but files and folders.

    Args:
        folder: a run, a checkpoint, a data set of embeddings or an index; it need not be there.

    Raises:
        ValueError: a device, pipe or socket, or a link to one, lies in it.
    """
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:  # for whoever reads it to say so
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
            elif not entry.is_file() and not entry.is_dir() and os.path.exists(entry.path):
                raise ValueError(
                    f"'{path_on_one_line(entry.path)}' is no plain file but a device, a pipe or a socket, which has no "
                    "place in such a folder: remove it."
                )


def parse_json(data: str | bytes) -> Any:
    """What JSON holds.

    Args:
        data: the text, or its bytes in UTF-8.

    Returns:
        Its content.

    Raises:
        ValueError: it is no JSON, is not UTF-8, is nested too deeply, or has a number of thousands of digits.
    """
    try:
        content = json.loads(data.decode("utf-8-sig") if isinstance(data, bytes) else data)
        deep = _is_deeper(content, _DEEPEST)
    except RecursionError:
        deep = True
    if deep:
        raise ValueError(f"it is nested too deeply, more than {_DEEPEST} levels")
    return content


def read_json(path: str | Path, *, fix: str = _FIX) -> dict[str, Any]:
    """Read the JSON object that ``path`` holds.

    Args:
        path: the file; somebody else may have written it.
        fix: what to do where it is damaged, a sentence for the message.

    Returns:
        Its content.

    Raises:
        ValueError: it cannot be read, is no JSON, or is no object; the file is named.
    """
    try:
        data = read_plain(path, largest=_LARGEST_JSON)
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read ({error.strerror}).") from None
    try:
        content = parse_json(data)
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is not JSON: {error}. {fix}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{str(path)!r} must hold one JSON object, and holds {str(content)[:60]!r}.")
    return content


def _is_deeper(content: Any, levels: int) -> bool:
    """Whether lists and objects stand in each other more often than so."""
    level = [content]
    for _ in range(levels + 1):
        parts = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, dict | list)]
        if not parts:
            return False
        level = [value for part in parts for value in part if isinstance(value, dict | list)]
    return True
