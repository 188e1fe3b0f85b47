"""What verbs wrote, to be compared: all bytes but those of the clock; and lines that were cut off."""

import contextlib
import json
import re
from pathlib import Path
from typing import Any

_CLOCKS = {"seconds", "build_seconds", "clips_per_s", "wait_share"}  # what JSON says of the time
_LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ |  ")


def contents(folder: Path) -> dict[str, Any]:
    """All that lies in a folder, hidden files too, without what the clock says.

    Args:
        folder: the folder.

    Returns:
        The content of each file by its path: bytes, or JSON without its times; None of a log, of a folder, and of
        TensorBoard's events.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if "tensorboard/" in name:
            continue
        if path.is_dir() or path.name == "log.txt":
            found[name] = None
        else:
            found[name] = path.read_bytes()
            if path.suffix in (".json", ".jsonl"):
                texts = found[name].splitlines() if path.suffix == ".jsonl" else [found[name]]
                with contextlib.suppress(ValueError):  # it is torn
                    found[name] = [_timeless(json.loads(text)) for text in texts]
    return found


def _timeless(value: Any) -> Any:
    """JSON without its times."""
    if isinstance(value, dict):
        return {key: _timeless(own) for key, own in value.items() if key not in _CLOCKS}
    return [_timeless(own) for own in value] if isinstance(value, list) else value


def torn_lines(folder: Path) -> list[str]:
    """The lines of logs, tables and JSON lines that a kill cut off.

    Args:
        folder: that they lie in.

    Returns:
        A sentence for each.
    """
    faults = []
    for path in folder.rglob("*"):
        if path.name == "log.txt" or path.suffix in (".csv", ".jsonl"):
            text = path.read_text(encoding="utf-8")
            if text and not text.endswith("\n"):
                faults.append(f"{path.relative_to(folder)}: its last line is torn")
            if path.name == "log.txt":
                faults += [f"log.txt: {line!r} is torn" for line in text.splitlines() if not _LOGGED.match(line)]
    return faults
