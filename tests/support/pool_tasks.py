"""Tasks for `specvid.tools.data.pool`, where processes that are spawned can import them."""

import os
import signal
from pathlib import Path


def square_or_die(number: int, folder: str) -> int:
    """The square, and a file that says that the task was begun; 4 ends its process."""
    Path(folder, f"{number}").touch()
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number
