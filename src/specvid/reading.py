"""Text and JSON that somebody else wrote: of plain files only, of a size that a list or a table can have."""

import json
import os
from pathlib import Path
from typing import Any

_LARGEST = 2**31  # bytes; a list of ten million clips has half of it
_LARGEST_JSON = 256 * 2**20  # bytes; results of large evaluations have some MB
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
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{str(path)!r} is no plain file: a folder, a device or a pipe; nothing is read from it.")
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > largest:
            raise ValueError(f"{str(path)!r} is not read: it has more than {largest // 2**20:,} MiB, as none should.")
        return file.read()


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
        data = read_plain(path, largest=_LARGEST_JSON)
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read ({error.strerror}).") from None
    try:
        content = parse_json(data)
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is not JSON: {error}.") from None
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
