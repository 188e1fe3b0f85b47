"""Text to be printed: numbers with their nouns, paths, and tables as plain text and as Markdown.

The rows of a table are cells that are text already, the heading first; control characters in them are escaped.
"""

import os
import re
import unicodedata
from collections.abc import Sequence

_LONG = re.compile(r"'[^']{600,}'|\"[^\"]{600,}\"|[^\s]{600,}")


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    Args:
        number: how many.
        noun: what, in the singular; its plural must be a regular one (``clip``, ``class``, ``box``, ``identity``).

    Returns:
        E.g. ``1 clip``, ``3 classes`` or ``1,501 identities``.
    """
    if number == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}es" if noun.endswith(("s", "x")) else f"{noun}s"
    return f"{number:,} {plural}"


def percent(share: float) -> str:
    """A share as a number of per cent with two digits, or whole.

    Args:
        share: of 1; it may be above 1.

    Returns:
        E.g. ``0.57``, ``36`` or ``231``.
    """
    return f"{100 * share:.2g}" if abs(share) < 0.995 else f"{100 * share:.0f}"


def printable_path(path: str | bytes) -> str:
    """A path as text that any file and terminal takes.

    Args:
        path: as the file system gives it.

    Returns:
        The text, in which bytes that are not UTF-8 are escaped.
    """
    try:
        data = os.fsencode(path)
    except UnicodeEncodeError:  # half of a letter beyond 16 bits, as JSON can write it
        data = str(path).encode("utf-8", "backslashreplace")
    return data.decode("utf-8", "backslashreplace")


def path_on_one_line(path: str | os.PathLike[str]) -> str:
    """A path for a message, a table or a log, which any of them takes and which breaks no line.

    Args:
        path: as the file system gives it.

    Returns:
        The text, in which bytes that are not UTF-8 and control characters are escaped.
    """
    return one_line(printable_path(os.fspath(path)))


def one_line(text: str) -> str:
    """Text on one line.

    Args:
        text: e.g. a file name with a newline in it.

    Returns:
        The text with its control characters escaped.
    """
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def shortened(text: str) -> str:
    """A message without the middle of what somebody wrote at great length; what is wrong with it stays in sight.

    Args:
        text: the message, which repeats what was given.

    Returns:
        Words of more than 600 letters, and what stands in quotes and is longer, with their first 200 and last 100.
    """
    return _LONG.sub(lambda found: f"{found[0][:200]} ... {found[0][-100:]}", text)


def without_controls(text: str) -> str:
    """Text for a terminal, which obeys what stands behind an escape character in a name that somebody else gave.

    Args:
        text: any lines.

    Returns:
        The text with its control characters escaped, except line breaks and tabs.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter in "\n\t" or unicodedata.category(letter) != "Cc" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def markdown_text(text: str) -> str:
    """Text that somebody else gave, in Markdown: no tag, no link, no code, on one line.

    Args:
        text: e.g. the name of a class.

    Returns:
        The text, escaped.
    """
    return "".join(f"\\{letter}" if letter in "\\`*[]<>|" else letter for letter in one_line(printable_path(text)))


def printable_name(text: str, *, most: int = 60) -> str:
    """A name that somebody else gave, for a picture of matplotlib's, which takes dollars for formulas.

    Args:
        text: e.g. of a class.
        most: letters beyond which it is cut off.

    Returns:
        The name on one line, with what is no letter, and each dollar, escaped.
    """
    name = one_line(printable_path(text))
    return (name if len(name) <= most else f"{name[: most - 1]}…").replace("$", "\\$")


def clock(seconds: float, *, decimals: int = 1, mark: str = ".") -> str:
    """A time as hours, minutes and seconds.

    Args:
        seconds: from the begin of the video.
        decimals: of the seconds.
        mark: before them.

    Returns:
        E.g. ``0:01:02.5``.
    """
    ticks = round(seconds * 10**decimals)
    whole, fraction = divmod(ticks, 10**decimals)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}{mark}{fraction:0{decimals}}"


def to_text(rows: Sequence[Sequence[str]], *, align: str = "", rule: bool = True) -> str:
    """Columns of plain text, each as wide as its widest cell.

    Args:
        rows: the heading, then the rows; all of the same length.
        align: ``<`` (left) or ``>`` (right) for each column; the last one stands for the columns beyond it, and left is
            the default.
        rule: draw a line under the heading.

    Returns:
        Lines without spaces at their ends and without a last line break.
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = _widths(rows)
    sides = align.ljust(len(widths), align[-1:] or "<")
    lines = [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in rows
    ]
    ruled = ["  ".join("-" * width for width in widths)] if rule else []
    return "\n".join([lines[0], *ruled, *lines[1:]])


def to_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, padded so that its source reads well too.

    Args:
        rows: the heading, then the rows; all of the same length. In cells ``|`` and ``<`` are escaped.

    Returns:
        The table without a last line break.
    """
    cells = [[one_line(cell).replace("|", "\\|").replace("<", "\\<") for cell in row] for row in rows]
    widths = _widths(cells)
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def csv_cell(value: object) -> object:
    """A cell of a CSV file that no spreadsheet takes for a formula.

    Args:
        value: what somebody else may have named, e.g. a file or a class.

    Returns:
        The value; text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break, and is no number, after an
        apostrophe, which spreadsheets read as: this is text.
    """
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """The width of the widest cell of each column."""
    return [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
