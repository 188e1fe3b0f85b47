"""The insertion grammar: text <-> frozen dataclasses. It knows nothing of networks.

    blocks    = (insertion | placement) {"," (insertion | placement)}
    placement = name of a published one (`specvid.models.insertion.published`): i3d_nln
    insertion = block ["(" option "=" value {"," option "=" value} ")"] "@" place
    place     = path [":" count]            layer3.-1   layer3.end   layer3:5   res4   features.13

Values are Python literals (``3``, ``0.5``, ``True`` or ``true``, ``(1, 2)``, ``"text"``) or bare words (``linear``).
What a place means in a network is the business of `specvid.models.insertion.places`.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

from specvid.errors import nearest
from specvid.models.insertion.published import PLACEMENTS

_BLOCK = re.compile(r"[A-Za-z][\w\-]*")
_OPTION = re.compile(r"[A-Za-z_]\w*")
_PATH = re.compile(r"[\w\-]+(\.[\w\-]+)*")
_WORD = re.compile(r"[A-Za-z_][\w+\-.]*")
_LONGEST = 10_000  # characters
_MOST_BLOCKS = 200  # of all insertions
_MOST_DIGITS = 10  # of a number of blocks
_NO_LITERAL = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)  # as `ast` calls what it cannot read
_ON_OFF = {"true": True, "false": False}  # as JSON and shells write them
_CONV_HELP = "the form is convolution[(option=value, ...)]@place[, ...], e.g. 'dcd@layer3' or 'phc(n=2)@layer4.0.conv2'"
_HELP = "the form is block[(option=value, ...)]@place[, ...], e.g. 'snl@layer3.-1' or 'nl(mode=t+s)@layer2:2, snl@res4'"


@dataclass(frozen=True)
class Place:
    """Where a block goes.

    Attributes:
        path: A module path.
        count: How many blocks are spread over it; None: one, at the path itself.

    Raises:
        ValueError: The path is none, or the count is below 1.
    """

    path: str
    count: int | None = None

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise ValueError(f"place {self.path!r} is not a module path such as 'layer3.-1': {_HELP}")
        if self.count is not None and not 1 <= self.count <= _MOST_BLOCKS:
            raise ValueError(
                f"place '{self.path}:{self.count}' asks for {self.count} blocks; it must be at least 1, and at most "
                f"{_MOST_BLOCKS}"
            )

    def __str__(self) -> str:
        return self.path if self.count is None else f"{self.path}:{self.count}"


@dataclass(frozen=True)
class Insertion:
    """One block with its place.

    Attributes:
        block: Name of the block or part.
        place: Where it goes.
        options: Its options, as (name, value) pairs.

    Raises:
        ValueError: A name is none, an option is given twice, or its value is no Python literal.
    """

    block: str
    place: Place
    options: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if not _BLOCK.fullmatch(self.block):
            raise ValueError(f"block name {self.block!r} is not a name: {_HELP}")
        names = [name for name, _ in self.options]
        for name, value in self.options:
            if not _OPTION.fullmatch(name):
                raise ValueError(f"option name {name!r} of block {self.block!r} is not a name: {_HELP}")
            if names.count(name) > 1:
                raise ValueError(f"option {name!r} of block {self.block!r} is given twice; give it once")
            if not _is_literal(value):
                raise ValueError(f"option {name!r} of block {self.block!r} is {value!r}, which is not a Python literal")

    def __str__(self) -> str:
        options = ", ".join(f"{name}={_format_value(value)}" for name, value in self.options)
        return f"{self.block}({options})@{self.place}" if options else f"{self.block}@{self.place}"


def parse_blocks(text: str, *, what: str = "blocks") -> tuple[Insertion, ...]:
    """Parse a string of insertions.

    Args:
        text: E.g. ``"nl(mode=t+s)@layer2:2, snl@res4"``.
        what: What the argument is called, for messages.

    Returns:
        The insertions, in order.

    Raises:
        ValueError: The text is not in this form; the message names what is wrong and the right form.
    """
    if not isinstance(text, str):
        raise ValueError(f"{_where(text, what)} is a {type(text).__name__}, and must be a text: {_help(what)}")
    if not text.strip():
        return ()
    _check_length(text, what)
    where, help = _where(text, what), _help(what)
    found = tuple(insertion for part in _split(text, where, help) for insertion in _parse_part(part, where, help))
    count = sum(insertion.place.count or 1 for insertion in found)
    if count > _MOST_BLOCKS:
        raise ValueError(f"{where[:200]} ... are {count} insertions; there may be {_MOST_BLOCKS}")
    return found


def split_blocks(text: str) -> list[str]:
    """The insertions and placements that a string of blocks names, unread: some may lack their place.

    Args:
        text: e.g. ``nl(gate=0.1), i3d_nln``.

    Returns:
        Each as it stands there.

    Raises:
        ValueError: a bracket or quotes do not close.
    """
    _check_length(text, "blocks")
    return [part.strip() for part in _split(text, _where(text, "blocks"), _help("blocks"))]


def parse_name(text: str) -> tuple[str, dict[str, Any]]:
    """Parse the name of a backbone, perhaps with options: ``"mmaction:ResNet3d(depth=50, inflate=(0, 0, 1, 1))"``.

    Args:
        text: the name, or name, ``(``, options as of a block, ``)``.

    Returns:
        The name and the options. They are words, numbers, truth values, None, and lists of such: none names code.

    Raises:
        ValueError: brackets or an option of another form.
    """
    _check_length(text, "backbone")
    name, bracket, inner = text.partition("(")
    if not bracket or not name.strip():
        return text, {}
    where, help = f"backbone {text!r}", "the form is NAME(option=value, ...), e.g. 'mmaction:ResNet3d(depth=50)'"
    if not inner.rstrip().endswith(")"):
        raise ValueError(f"{where}: its options do not end with ')'; {help}")
    inner = inner.rstrip()[:-1]
    options: dict[str, Any] = {}
    for option, value in (_parse_option(part, where, help) for part in _split(inner, where, help) if part.strip()):
        if option in options:
            raise ValueError(f"{where}: option {option!r} is given twice; give it once")
        if not _is_plain(value):
            raise ValueError(
                f"{where}: option {option!r} is {value!r}; in a name it may be a word, a number, True, False, None or "
                "a list of such. Give others in Python, to specvid.create_model, or in a config file"
            )
        options[option] = value
    return name.strip(), options


def _is_plain(value: Any) -> bool:
    """Whether a value can be no name of code: mmaction2 looks up what dictionaries and dotted names say."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, str):
        return re.fullmatch(r"\w[\w+\-]*", value) is not None
    return value is None or isinstance(value, (bool, int, float))


def _parse_part(part: str, where: str, help: str) -> tuple[Insertion, ...]:
    """One insertion, or those of a published placement, which are of blocks."""
    placement = PLACEMENTS.get(part.strip()) if help == _HELP else None
    return (_parse_insertion(part, where, help),) if placement is None else parse_blocks(placement.blocks)


def format_blocks(insertions: tuple[Insertion, ...]) -> str:
    """The inverse of `parse_blocks`.

    Args:
        insertions: In order.

    Returns:
        The text in canonical form.
    """
    return ", ".join(str(insertion) for insertion in insertions)


def _parse_insertion(part: str, where: str, help: str) -> Insertion:
    head, at, place = part.rpartition("@")
    if not at or not head.strip() or not place.strip():
        what = "block" if help == _HELP else "convolution"
        hint = nearest(part.strip(), PLACEMENTS) if not at and help == _HELP else ""
        raise ValueError(f"{where}: {part.strip()!r} does not say which {what} goes where;{hint} {help}")
    block, bracket, inner = head.strip().partition("(")
    if bracket and not inner.endswith(")"):
        raise ValueError(f"{where}: the options of {block!r} do not end with ')'; {help}")
    options = (
        tuple(_parse_option(option, where, help) for option in _split(inner[:-1], where, help))
        if inner[:-1].strip()
        else ()
    )
    path, colon, count = (part.strip() for part in place.partition(":"))
    if colon and not (count.isdecimal() and len(count) < _MOST_DIGITS):
        raise ValueError(f"{where}: {count!r} after ':' in {place.strip()!r} is not a number of blocks")
    return Insertion(block.strip(), Place(path, int(count) if colon else None), options)


def _check_length(text: str, what: str) -> None:
    """Refuse what nobody typed: reading it, and saying what is wrong with it, takes time that grows with its square."""
    if len(text) > _LONGEST:
        raise ValueError(f"{what} {text[:60]!r}... has {len(text):,} characters; it may have {_LONGEST:,}")


def _help(what: str) -> str:
    """The form that messages on an argument end with."""
    return _CONV_HELP if what == "conv" else _HELP


def _where(text: str, what: str) -> str:
    """How messages on a string of blocks begin."""
    return f"{what} {text!r}"


def _parse_option(text: str, where: str, help: str) -> tuple[str, Any]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not value:
        raise ValueError(f"{where}: option {text.strip()!r} is not of the form name=value; {help}")
    if value in _ON_OFF:
        return name, _ON_OFF[value]
    try:
        return name, ast.literal_eval(value)
    except _NO_LITERAL:
        if _WORD.fullmatch(value):
            return name, value
        raise ValueError(
            f"{where}: value {value!r} of option {name!r} is neither a Python literal nor a bare word; "
            "put text with other characters in quotes"
        ) from None


def _format_value(value: Any) -> str:
    if isinstance(value, str) and _WORD.fullmatch(value) and not _evaluates(value):
        return value
    return repr(value)


def _evaluates(text: str) -> bool:
    if text in _ON_OFF:
        return True
    try:
        ast.literal_eval(text)
    except _NO_LITERAL:
        return False
    return True


def _is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except _NO_LITERAL:
        return False


def _split(text: str, where: str, help: str) -> list[str]:
    """Split at the commas that are in no bracket and no quotes."""
    parts, closers, quote, start, escaped = [], [], "", 0, False
    pairs = {"(": ")", "[": "]", "{": "}"}
    for i, character in enumerate(text):
        if quote:
            if character == quote and not escaped:
                quote = ""
            escaped = character == "\\" and not escaped
        elif character in "'\"":
            quote = character
        elif character in pairs:
            closers.append(pairs[character])
        elif character in pairs.values():
            if not closers or closers.pop() != character:
                raise ValueError(f"{where}: {character!r} closes nothing; {help}")
        elif character == "," and not closers:
            parts.append(text[start:i])
            start = i + 1
    if quote or closers:
        raise ValueError(f"{where}: {(quote or closers[-1])!r} is missing; {help}")
    return [*parts, text[start:]]
