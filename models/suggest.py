"""Errors that answer a wrong name with the nearest right ones."""

import difflib
from collections.abc import Iterable


def nearest(name: str, choices: Iterable[str]) -> str:
    """``" Did you mean 'snl'?"`` for a name close to some of ``choices``, else ``""``."""
    close = difflib.get_close_matches(name, list(choices), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(match) for match in close)}?" if close else ""


def unknown(kind: str, value: str, choices: Iterable[str]) -> ValueError:
    """The error for a ``value`` that is none of ``choices``: names the thing, its value, the rule and the nearest
    fix."""
    choices = sorted(choices)
    return ValueError(f"{kind} {value!r} is unknown.{nearest(value, choices)} Choose from: {', '.join(choices)}.")
