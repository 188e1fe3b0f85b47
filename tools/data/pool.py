"""Processes that decode for a tool: they end with the main one, and at once where it is interrupted.

A task that kills its process costs itself only.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

from specvid.pipelines.engine.workers import start_worker

Task = TypeVar("Task", bound=tuple[Any, ...])
Result = TypeVar("Result")
_AHEAD = 4  # tasks of each process that are handed out


@contextmanager
def decoding_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes for the length of the block.

    Args:
        workers: how many.

    Yields:
        The pool. Where the block ends by an error or a signal, what was submitted is not waited for.
    """
    # Decoders do not survive a fork.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=start_worker, initargs=(0,))
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def run_tasks(tasks: Iterable[Task], work: Callable[..., Result], workers: int) -> Iterator[tuple[Task, Result | None]]:
    """Do tasks in processes.

    Few are handed out ahead, so that the first one begins at once, and a million of them stay small. Where a process
    dies, those under way are done again, each in a process of its own; then the others go on.

    Args:
        tasks: arguments of ``work``.
        work: a function of a module; what it returns is never None.
        workers: processes.

    Yields:
        Each task with its result, as they come; with None where it killed its process.
    """
    waiting = deque(tasks)
    while waiting:
        running: dict[Future[Result], Task] = {}
        try:
            with decoding_pool(min(workers, len(waiting))) as pool:
                while waiting or running:
                    while waiting and len(running) < _AHEAD * workers:
                        running[pool.submit(work, *waiting[0])] = waiting[0]
                        waiting.popleft()
                    for job in wait(running, return_when=FIRST_COMPLETED).done:
                        result = job.result()
                        yield running.pop(job), result
        except BrokenProcessPool:
            for task in running.values():
                yield task, _do_alone(task, work)


def _do_alone(task: Task, work: Callable[..., Result]) -> Result | None:
    """Its result; None where it kills its process."""
    try:
        with decoding_pool(1) as pool:
            return pool.submit(work, *task).result()
    except BrokenProcessPool:
        return None
