"""What the parser says of a command line that it cannot take, in the words of all other errors."""

import ast
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
    sentence = _with_nearest(_plain(_sentence(printed), types))
    if found := re.fullmatch(r"Unrecognized options: (.*)", sentence):
        if found[1].startswith("-"):
            return f"option {found[1]!r} is unknown."
        return f"{found[1]!r} belongs to no option (one that is on or off takes no value: --NAME, or --no-NAME)."
    return sentence


def _plain(sentence: str, types: Mapping[str, Any]) -> str:
    """A sentence of tyro about a number that is none, in the words of all others: name, value, rule."""
    found = _UNFIT.match(sentence)
    if found is None:
        return sentence
    name, kind = found[1], types.get(f"--{found[1]}")
    number = next((one for one in (kind, *get_args(kind)) if one in (int, float)), None)
    if number is None:
        return sentence
    rule, words = ("a whole number" if number is int else "a number"), _words(found[2])
    if get_origin(kind) is not tuple:
        return f"{name} {' '.join(words)!r} must be {rule}."
    parts = [part for word in words for part in _parts(word)]
    if unfit := next((part for part in parts if not _is(number, part)), ""):
        return f"{name} {unfit!r} must be {rule}."
    return (
        f"{name} {' '.join(words)!r} must be {rule.removeprefix('a ')}s with spaces between them: "
        f"--{name} {' '.join(parts)}."
    )


def _words(printed: str) -> list[str]:
    """The words of a value, which tyro prints as a text or as a list of them."""
    try:
        value = ast.literal_eval(printed)
    except (ValueError, SyntaxError):
        return [printed]
    return list(map(str, value)) if isinstance(value, list) else [str(value)]


def _parts(word: str) -> list[str]:
    """The numbers that were meant by one word: ``0,1`` and ``[0,1]`` are two, ``0-4`` is five."""
    if (span := re.fullmatch(r"(\d{1,4})-(\d{1,4})", word)) and int(span[2]) - int(span[1]) in range(1, 20):
        return list(map(str, range(int(span[1]), int(span[2]) + 1)))
    return [part for part in re.split(r"[,;\s]+", word.strip("[]()")) if part]


def _is(number: type, text: str) -> bool:
    try:
        number(text)
    except ValueError:
        return False
    return True


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
