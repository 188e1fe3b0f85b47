"""Single calls in a process of their own: whatever a file does to its decoder, the main process goes on."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from specvid.errors import VideoError
from specvid.pipelines.engine.workers import start_worker

T = TypeVar("T")
_PATIENCE = 600.0  # s


class IsolatedCalls:
    """A ``with`` block in which functions are called in another process, one at a time.

    The process starts with the first call, and anew after one that killed it.

    Args:
        seconds: after which a call is given up.
    """

    def __init__(self, *, seconds: float = _PATIENCE) -> None:
        self._seconds = seconds
        self._pool: ProcessPoolExecutor | None = None

    def __call__(self, path: str, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function.

        Args:
            path: of the file that it reads.
            function: of a module, so that another process finds it.
            *arguments: its arguments.

        Returns:
            What it returns.

        Raises:
            VideoError: the process died or hangs; or what the function raises.
        """
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, initializer=start_worker, initargs=(0,))
        try:
            return self._pool.submit(function, *arguments).result(self._seconds)
        except BrokenProcessPool:
            self._end()
            reason = "kills the process that decodes it"
        except TimeoutError as error:
            if isinstance(error, OSError) and error.errno:  # of the file's own disk
                raise
            self._end()
            reason = f"gives nothing for {self._seconds:g} s"
        raise VideoError(path, f"{reason}: the file is damaged in an unusual way")

    def _end(self) -> None:
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def __enter__(self) -> "IsolatedCalls":
        return self

    def __exit__(self, *error: object) -> None:
        self._end()
