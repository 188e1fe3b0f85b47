"""What the parser says of a command line that it cannot take, in the words of all other errors."""

import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from specvid.errors import unknown

_UNFIT = re.compile(
    r"Error parsing (?:-\w/)?--([\w-]+): (?:invalid literal for int\(\) with base 10: "
    r"|could not convert string to float: |Could not find valid parse for arguments: "
    r"|no type matching \S+ could be instantiated from )(.*?)\.?$"
)


def sentence_of(printed: str, types: Mapping[str, Any]) -> str:
    """The sentence for what tyro printed.

    Args:
        printed: a frame with its message.
        types: of the fields, by their flags.

    Returns:
        Name, value and rule where it is of a number that is none; the nearest choice where it is of a value that is no
        choice; else tyro's words, on one line.
    """
    return _with_nearest(_plain(_sentence(printed), types))


def _plain(sentence: str, hints: Mapping[str, Any]) -> str:
    """A sentence of tyro about a number that is none, in the words of all others: name, value, rule."""
    found = _UNFIT.match(sentence)
    if found is None:
        return sentence
    name, value = found[1], re.sub(r"^\[|\]$", "", found[2])
    kinds = [kind for kind in (hints.get(f"--{name}"), *get_args(hints.get(f"--{name}"))) if kind in (int, float)]
    if not kinds:
        return sentence
    if get_origin(hints[f"--{name}"]) is not tuple:
        return f"{name} {value} must be {'a whole number' if kinds[0] is int else 'a number'}."
    text = value.strip("'").replace(", ", ",")
    numbers = text.split(",") if "," in text else []
    if (span := re.fullmatch(r"(\d{1,4})-(\d{1,4})", text)) and int(span[2]) - int(span[1]) in range(1, 20):
        numbers = list(map(str, range(int(span[1]), int(span[2]) + 1)))
    fix = f": --{name} {' '.join(number.strip() for number in numbers)}" if numbers else ""
    kind = "whole numbers" if kinds[0] is int else "numbers"
    return f"{name} {repr(text) if numbers else value} must be {kind} with spaces between them{fix}."


def _with_nearest(sentence: str) -> str:
    """What is said of a value that is no choice, as of any other wrong name: the nearest right one, then all."""
    found = re.fullmatch(r"invalid choice '(.*)' for argument '(\S+)'. Expected one of \((.*)\)\.?", sentence)
    if not found:
        return sentence
    choices = [choice for choice in re.findall(r"'([^']*)'", found[3]) if choice]
    return str(unknown(found[2], found[1], choices)) if choices else sentence


def _sentence(box: str) -> str:
    """The message inside a frame that tyro draws (of dashes, where the terminal has no lines), as one line."""
    lines = [re.sub(r"[│╭╮╰╯─]+|-{3,}", " ", line).strip() for line in box.splitlines()]
    heading, *rest = [number for number, line in enumerate(lines) if line] or [0]
    text: list[str] = []
    for line in lines[rest[0] if rest else heading :]:
        if not line:
            break
        text.append(line)
    return re.sub(r"^Error parsing [\w.]+: ", "", " ".join(text))
