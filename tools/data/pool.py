"""Processes that decode for a tool: they end with the main one, and at once where it is interrupted."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from specvid.pipelines.engine.loading import start_worker


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
