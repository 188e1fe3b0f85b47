"""Command lines of the programs below ``tools``: ``--help`` is a docstring, whose examples keep their lines."""

import argparse
import shutil
import textwrap
from typing import Any

_WIDEST = 110


class Program(argparse.ArgumentParser):
    """A parser whose description has paragraphs and examples: argparse's own runs them into one paragraph.

    Paragraphs are filled, up to the width of the terminal; those that are indented, commands, keep their lines. Parsers
    of verbs (``add_subparsers``) are likewise.

    Args:
        name: of the module below ``specvid.tools``, or with the name of the verb, as argparse gives it.
        about: what it does; a docstring, in which names stand in two backquotes.
        options: of `argparse.ArgumentParser`.
    """

    def __init__(self, name: str = "", about: str | None = None, **options: Any) -> None:
        options.setdefault("formatter_class", _Paragraphs)
        options.setdefault("prog", f"python -m specvid.tools.{name}")
        super().__init__(description=(about or "").replace("``", "`"), **options)


class _Paragraphs(argparse.HelpFormatter):
    """Help in paragraphs."""

    def __init__(self, prog: str, **options: Any) -> None:
        options.setdefault("width", min(_WIDEST, shutil.get_terminal_size().columns - 2))
        super().__init__(prog, **options)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip().split("\n\n")
        filled = (one if one.startswith("    ") else textwrap.fill(one, width) for one in paragraphs)
        return textwrap.indent("\n\n".join(filled), indent)
