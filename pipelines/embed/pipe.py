"""A pipe for clips: megabytes at a time, copied by the system alone.

Python's own connections read into a buffer that grows, and copy it; and the system's usual pipe holds 64 kB, so that
the two processes wait for each other a dozen times for each clip.
"""

import contextlib
import multiprocessing
import os
import sys
from multiprocessing.connection import Connection

_BYTES = 2**20  # which Linux allows everybody


def wide_pipe() -> tuple[Connection, Connection]:
    """A pipe that holds a clip where the system has such.

    Returns:
        The end to read and the end to write.
    """
    near, far = multiprocessing.Pipe(duplex=False)
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):  # this user's pipes are many already
            fcntl.fcntl(far.fileno(), fcntl.F_SETPIPE_SZ, _BYTES)
    return near, far


def send_all(pipe: Connection, content: memoryview) -> None:
    """Write bytes whose number the other side knows.

    Args:
        pipe: the end to write.
        content: bytes.

    Raises:
        OSError: nobody reads any more.
    """
    if not hasattr(os, "readv"):  # Windows
        return pipe.send_bytes(content)
    while content:
        content = content[os.write(pipe.fileno(), content) :]


def receive_into(pipe: Connection, space: memoryview) -> None:
    """Read bytes of `send_all`.

    Args:
        pipe: the end to read.
        space: as many bytes as were sent.

    Raises:
        EOFError: the other side ended before.
    """
    if not hasattr(os, "readv"):
        pipe.recv_bytes_into(space)
        return
    while space:
        count = os.readv(pipe.fileno(), [space])
        if not count:
            raise EOFError
        space = space[count:]
