"""The command line that all converters of weights have: IN and OUT, one line for an error, exit code 2."""

import argparse
import sys
from collections.abc import Callable, Sequence


def command_line(
    name: str, about: str, source: str, convert: Callable[[str, str], object], words: Sequence[str] | None
) -> int:
    """Parses ``words``, prints what ``convert`` (IN, OUT) answers, returns the exit code. ``source``: help on IN."""
    parser = argparse.ArgumentParser(f"python -m specvid.tools.{name}", description=about)
    parser.add_argument("source", metavar="IN", help=source)
    parser.add_argument("out", metavar="OUT", help="the .safetensors to write")
    options = parser.parse_args(words)
    try:
        print(f"{options.out}: {convert(options.source, options.out)}")
    except (ValueError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    return 0
