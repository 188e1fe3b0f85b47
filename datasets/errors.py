"""The one error that a video file can cause, and the one for a wrong name."""

import os
from collections.abc import Iterable


class VideoError(ValueError):
    """A video that cannot be used, and why: ``str(error)`` is one line, ``path: reason``.

    Survives pickling, so a data loader's worker can send it to the main process with its path.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        self.path = os.fspath(path)
        self.reason = " ".join(str(reason).split())
        super().__init__(f"{self.path}: {self.reason}")

    def __reduce__(self) -> tuple[type["VideoError"], tuple[str, str]]:
        return type(self), (self.path, self.reason)


def unknown(kind: str, value: str, choices: Iterable[str]) -> ValueError:
    """The error for a name that is none of ``choices``, with the nearest ones."""
    # Imported where a mistake has happened: a data loader's worker has no use for the models.
    from specvid.models.suggest import unknown

    return unknown(kind, value, choices)
