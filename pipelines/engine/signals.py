"""Signals that end a job: SIGTERM (of Slurm, of machines that are taken away) and SIGINT (Ctrl-C)."""

import signal
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

    def restore() -> None:
        for number in list(before):
            signal.signal(number, before.pop(number))

    def first(number: int, frame: object) -> None:
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
