"""The one error that a video file can cause."""

import os


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
