"""Errors of every room: a wrong name, answered with the nearest right ones, an unusable video, a lost process."""

import difflib
import os
from collections.abc import Iterable

from specvid.text import path_on_one_line


def nearest(name: str, choices: Iterable[str]) -> str:
    """A hint at the right name.

    Args:
        name: What was given.
        choices: What there is.

    Returns:
        ``" Did you mean 'snl'?"`` for a name close to some of the choices, else ``""``.
    """
    close = difflib.get_close_matches(name, list(choices), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(match) for match in close)}?" if close else ""


def unknown(kind: str, value: str, choices: Iterable[str]) -> ValueError:
    """The error for a value that is none of the choices: names the thing, its value, the rule and the nearest fix.

    Args:
        kind: Of thing, e.g. ``block``.
        value: What was given.
        choices: What there is.

    Returns:
        The error, to be raised.
    """
    choices = sorted(choices)
    return ValueError(f"{kind} {value!r} is unknown.{nearest(value, choices)} Choose from: {', '.join(choices)}.")


class LostProcessError(RuntimeError):
    """Another process of the job has ended, so this one cannot go on: ``str(error)`` is one line."""


class VideoError(ValueError):
    """A video that cannot be used, and why: ``str(error)`` is one line, ``path: reason``, that any file takes.

    Survives pickling, so a data loader's worker can send it to the main process with its path.

    Args:
        path: Of the video.
        reason: What is wrong with it, which continues a sentence.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path = os.fspath(path)
        self.reason = " ".join(str(reason).split())
        super().__init__(f"{path_on_one_line(self.path)}: {self.reason}")

    def __reduce__(self) -> tuple[type["VideoError"], tuple[str, str]]:
        return type(self), (self.path, self.reason)
