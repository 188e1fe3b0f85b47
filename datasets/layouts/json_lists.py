"""Lists of clips that come as JSON."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from specvid.reading import parse_json, read_plain


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file.

    Args:
        path: the file.
        what: what it is, for the message.

    Returns:
        Whatever it holds.

    Raises:
        ValueError: it is missing, or no JSON.
    """
    try:
        return parse_json(read_plain(path))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); it is {what}.") from None
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}); it is {what}. Fetch it again.") from None


def read_entries(path: Path, what: str, keys: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """The entries of a JSON list of clips.

    Args:
        path: the file.
        what: what it is, for the message.
        keys: what each entry must have; the first one names the clip, and comes once.

    Yields:
        The entries.

    Raises:
        ValueError: it is no such list, or a clip is listed twice.
    """
    content = read_json(path, what)
    if not isinstance(content, list) or not content:
        raise ValueError(f"{path} is no list of clips; it is {what}.")
    seen: set[str] = set()
    for number, entry in enumerate(content, start=1):
        missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
        if missing:
            raise ValueError(f"{path}, entry {number}: lacks {', '.join(missing)}; it is {what}.")
        name = str(entry[keys[0]])
        if name in seen:
            raise ValueError(f"{path}: clip {name} is listed twice; every clip counts once.")
        seen.add(name)
        yield entry
