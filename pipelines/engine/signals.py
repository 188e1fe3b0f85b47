"""Signals that end a job: SIGTERM (of Slurm, of machines that are taken away) and SIGINT (Ctrl-C)."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal ended a job. ``str(error)`` says in one line what was saved.

    Args:
        number: of the signal. A process ends with the exit code 128 + ``number``: 130 for SIGINT, 143 for SIGTERM.
        saved: what was saved, and how to continue.
    """

    def __init__(self, number: int, saved: str) -> None:
        self.number, self.saved = number, saved
        super().__init__(f"stopped by {signal.Signals(number).name}: {saved}")


@contextmanager
def interrupting(saved: str) -> Iterator[None]:
    """While the block runs, the first signal of `SIGNALS` ends it, wherever the main thread just is.

    Also in code that passes no exception on: where Python ignores it (in ``__del__``, at a fork), it is raised again a
    moment later; where a library makes another error of it, that one is replaced.

    Args:
        saved: what is said of it.

    Raises:
        Interrupted: there was a signal.
    """
    caught: list[int] = []

    def end(number: int) -> None:
        caught.append(number)
        raise Interrupted(number, saved)

    with handling(end), _raising_again():
        try:
            yield
        except Exception as error:
            if caught:
                raise Interrupted(caught[0], saved) from error
            raise


@contextmanager
def _raising_again() -> Iterator[None]:
    """While the block runs, an `Interrupted` that Python ignores is raised again.

    What a library then fails at, half done as it is (one half of its hooks around a fork), is not worth a traceback:
    the job ends.
    """
    usual, before = sys.unraisablehook, None
    ignored: list[Interrupted] = []

    def hook(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, Interrupted):
            ignored.append(unraisable.exc_value)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
        elif not ignored:
            usual(unraisable)

    def alarm(number: int, frame: object) -> None:
        raise ignored[-1]

    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    sys.unraisablehook, before = hook, signal.signal(signal.SIGALRM, alarm)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = usual
        signal.signal(signal.SIGALRM, before)


@contextmanager
def handling(handle: Callable[[int], None]) -> Iterator[None]:
    """Handle the first signal of `SIGNALS` that comes while the block runs; a second one finds the usual handlers.

    Args:
        handle: gets the number of the signal. Where it returns, the block goes on. Only a main thread hears signals: in
            any other it is never called.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}
    owner = os.getpid()

    def restore() -> None:
        for number in list(before):
            signal.signal(number, before.pop(number))

    def first(number: int, frame: object) -> None:
        if os.getpid() != owner:  # a process that was forked a moment ago, and has not set its own handlers yet
            if number == signal.SIGTERM:
                os._exit(128 + number)
            return  # Ctrl-C is the main process's business
        restore()
        if hasattr(signal, "SIGCHLD"):
            # The decoding processes may get the signal too. That they end is no error from here on, and must not be
            # raised, as torch's data loader would, in the middle of a step or while it is cleared away at the end. It
            # still notices dead processes by itself, only later.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        handle(number)

    before.update({number: signal.signal(number, first) for number in SIGNALS})
    try:
        yield
    finally:
        restore()
