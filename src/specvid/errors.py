"""Errors and warnings of every room: a wrong name, an unusable video, a file that cannot be written, a lost process."""

import difflib
import errno
import os
import re
from collections.abc import Iterable

from specvid.text import path_on_one_line


def nearest(name: str, choices: Iterable[str]) -> str:
    """A hint at the right name.

    Args:
        name: What was given.
        choices: What there is.

    Returns:
        ``" Did you mean 'snl'?"`` for a name close to some of the choices, in any case, or part of them; else ``""``.
    """
    if not isinstance(name, str):  # an option of another kind: nothing is near it
        return ""
    choices, words = list(choices), set(name.split())
    folded = {choice.casefold(): choice for choice in reversed(choices)}
    # of a name of several words part may be given: too little of it to be close
    whole = [choice for choice in choices if words and words < {*choice.split(), *re.split(r"[\s@(),]+", choice)}][:3]
    if name.casefold() in folded:
        close = [folded[name.casefold()]]
    else:
        near = difflib.get_close_matches(name.casefold(), list(folded), n=3, cutoff=0.5)
        close = whole or [folded[match] for match in near]
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


class SpecvidWarning(UserWarning):
    """What specvid warns of; the command line says it without the line of code."""


class LostProcessError(RuntimeError):
    """Another process of the job has ended, so this one cannot go on: ``str(error)`` is one line."""


_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than this process may write",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "the folder may not be written",
    errno.EPERM: "the folder may not be written",
    errno.EIO: "the disk reports an error",
}
_UNEXPLAINED = ("PytorchStreamWriter", "inline_container", "iostream")  # how torch says that it could not write


class DiskError(OSError):
    """A file that cannot be written, and why.

    Args:
        target: What cannot be written.
        why: What fails.
        fix: What to do once that is mended.
    """

    def __init__(self, target: str | os.PathLike[str], why: str, fix: str) -> None:
        self.target, self.why, self.fix = target, why, fix
        super().__init__(f"{path_on_one_line(target)} cannot be written: {why}. Mend that and {fix}.")

    def __reduce__(self) -> tuple[type["DiskError"], tuple[str | os.PathLike[str], str, str]]:
        return type(self), (self.target, self.why, self.fix)


def disk_error(error: BaseException, target: str | os.PathLike[str], *, fix: str = "start again") -> DiskError | None:
    """What failed while a file was written, in words.

    Args:
        error: Of the system, or of a library that writes (Arrow, FAISS, FFmpeg, safetensors, torch), which has the
            reason in its text only.
        target: What could not be written.
        fix: What to do once the reason is mended.

    Returns:
        The error, to be raised; None where it was not the disk that failed.
    """
    if isinstance(error, DiskError):  # of a part of it
        return DiskError(target, error.why, fix)
    text, number = " ".join(str(error).split()), getattr(error, "errno", None)
    if not isinstance(number, int) and not isinstance(error, (ValueError, TypeError, LookupError)):
        # A library's own words. Python's errors about values are none of a disk's, whatever they quote.
        said = ((code, (f"[Errno {code}]", f"os error {code}", os.strerror(code))) for code in _REASONS)
        number = next((code for code, words in said if any(word in text for word in words)), 0)
    why = _REASONS.get(number) if isinstance(number, int) else None
    if why is None and isinstance(error, RuntimeError) and any(word in text for word in _UNEXPLAINED):
        why = f"the disk is full, or may not be written ({text[:160]})"
    return None if why is None else DiskError(target, why, fix)


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
