"""Data loaders whose processes end with the main one, and whose death costs the file that they read, not the job."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.util import get_temp_dir
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from specvid.datasets.clips.guard import ReadingGuard
from specvid.pipelines.engine.workers import start_worker

TIMEOUT = 900.0  # s after which a process that still reads the same item is given up
_LOOK_EVERY = 5.0  # s
_DYING = 10.0  # s that a process may take to end after its pipe did
_UNEXPLAINED = 5  # processes that may die more than files are given up for it
_ENDED_BY_SOMEBODY = (-signal.SIGTERM, -signal.SIGINT)


def loader_options(workers: int) -> dict[str, Any]:
    """Settings of a `DataLoader` whose processes end with this one.

    Args:
        workers: processes; 0 for none.

    Returns:
        Arguments of the loader.
    """
    # Not from the global generator. No `timeout`: with one, torch does not look whether its processes are alive.
    return {"num_workers": workers, "generator": torch.Generator(), "worker_init_fn": start_worker}


def load(make: Callable[[int, bool], DataLoader[Any]], guard: ReadingGuard) -> Iterator[Any]:
    """The items of a data loader, also where files kill the processes that read them.

    After a death the loader is made anew and goes on behind the last item that it gave. A file that was being read then
    is tried once more, and given up if that happens again.

    Args:
        make: returns the loader; takes how many items to leave out at the start, and whether the processes must be new.
        guard: of the data set.

    Yields:
        The items in order.
    """
    done = deaths = 0
    while True:
        guard.share()
        loader = make(done, deaths > 0)
        items = _start(loader)
        try:
            with _ending_hung_ones(items, guard) as hung:
                for item in items:
                    done += 1
                    yield item
            return
        except (RuntimeError, EOFError, OSError) as error:
            # It died while it handed a batch over: the pipe ends, or the socket is gone.
            hung_up = (
                not isinstance(error, RuntimeError) and loader.num_workers and not str(error).startswith("Caught ")
            )
            if not (hung_up or str(error).startswith("DataLoader")):
                raise
            if hung_up:
                _await_a_death(items)
            gone = _gone(items, hung)
            deaths += len(gone)
            if not gone or not guard.accuse(gone) or deaths - 2 * len(guard.lost) > _UNEXPLAINED:
                if hung_up:
                    raise RuntimeError("DataLoader worker ended while it handed over a batch") from error
                raise
        finally:
            if loader.num_workers and not loader.persistent_workers:
                _stop(items)
        _stop(items)


def _start(loader: DataLoader[Any]) -> Any:
    """Its iterator, without torch's signal handler: that raises wherever the main thread just is when a process dies,
    also between two items, or before the first. Without it, a death is noticed at the next item, within five seconds.
    """
    _forgive_half_made_ones()
    if loader.num_workers:
        # Sockets that tensors are handed over by lie in a temporary folder. It is to be of this process, which removes
        # it at its end: one that a worker makes for itself stays for ever where a signal ends that worker.
        get_temp_dir()
    signal_handling._SIGCHLD_handler_set = True  # torch sets its handler once in a process, unless it thinks it has
    if sys.platform != "win32" and threading.current_thread() is threading.main_thread():
        before = signal.getsignal(signal.SIGCHLD)  # another loader of this process may have set it
        if getattr(before, "__module__", None) == signal_handling.__name__:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return iter(loader)


def _forgive_half_made_ones() -> None:
    """A signal may end the making of an iterator; torch's ``__del__`` then says that it lacks attributes."""
    usual = _MultiProcessingDataLoaderIter.__del__
    if usual.__module__ == __name__:
        return

    def forgive(self: Any) -> None:
        with suppress(AttributeError):
            usual(self)

    _MultiProcessingDataLoaderIter.__del__ = forgive  # type: ignore[method-assign]


@contextmanager
def _ending_hung_ones(items: Any, guard: ReadingGuard) -> Iterator[set[int]]:
    """Kill processes that read one item for too long; gives the numbers of those, as they become known."""
    hung: set[int] = set()
    end = threading.Event()

    def look() -> None:
        while not end.wait(_LOOK_EVERY):
            for number in guard.reading_longer_than(TIMEOUT):
                hung.add(number)
                items._workers[number].kill()

    if hasattr(items, "_workers"):
        threading.Thread(target=look, daemon=True).start()
    try:
        yield hung
    finally:
        end.set()


def _await_a_death(items: Any) -> None:
    """Wait until a process has ended: its pipe ends some time before it does, the longer the busier the machine is."""
    processes = getattr(items, "_workers", ())
    if any(process.exitcode for process in processes):
        return
    living = {process.sentinel: process for process in processes if process.exitcode is None}
    for ended in wait(list(living), _DYING):
        living[ended].join(_DYING)  # its sentinel is ready a little before its exit code is known


def _gone(items: Any, hung: set[int]) -> dict[int, str]:
    """What became of the processes of an iterator; none, where somebody ended them."""
    found: dict[int, str] = {}
    for number, process in enumerate(getattr(items, "_workers", ())):
        code = process.exitcode
        if code in _ENDED_BY_SOMEBODY:
            return {}
        if code:
            name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            found[number] = "hangs" if number in hung else f"kills its process ({name})"
    return found


def _stop(items: Any) -> None:
    for process in getattr(items, "_workers", ()):
        process.kill()
    if hasattr(items, "_shutdown_workers"):
        items._shutdown_workers()
