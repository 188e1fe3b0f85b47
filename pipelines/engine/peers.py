"""The other processes of a job: where one of them dies, all end within a minute, and say so.

Who notices: gloo and NCCL, as soon as they wait for the dead one (`naming_lost_processes`); torchrun and Slurm, of what
they started; and, where Fabric started the processes from one command line, the main one watches them and they watch it
(`watching`), for some may be busy elsewhere, or wait for a connection that never comes.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from specvid.errors import LostProcessError

GRACE = 15.0
"""Seconds that a process has to end by itself, with its own words, after another one has died."""
_LOOK_EVERY = 0.5  # s
_PARENT = "SPECVID_STARTED_BY"
_LOST = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "remote process exited",  # NCCL
)
_children: list[subprocess.Popen[Any]] = []  # those that this process started, in the order of ranks from 1


@contextmanager
def naming_lost_processes(describe: Callable[[], str]) -> Iterator[None]:
    """While the block runs, say in words that another process is gone.

    Args:
        describe: gives what was saved, and how to continue.

    Raises:
        LostProcessError: a process that this one works with has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, LostProcessError) or not any(word in str(error) for word in _LOST):
            raise
        raise LostProcessError(f"{_which_ended()}, so this one cannot go on: {describe()}") from error


@contextmanager
def watching() -> Iterator[None]:
    """While the block runs, Fabric may start processes: this one watches them, and they watch it, to their end.

    Fabric's own watch kills the main process without a word.
    """
    from lightning_fabric.strategies.launchers import subprocess_script as launcher

    if sys.platform == "win32":
        yield
        return
    parent, usual = os.environ.get(_PARENT), launcher._launch_process_observer
    if parent is not None:
        _start(_watch_parent, int(parent))
    os.environ[_PARENT] = str(os.getpid())
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # of the others, which say in words that a connection is lost
    launcher._launch_process_observer = watch_children
    try:
        yield
    finally:
        launcher._launch_process_observer = usual
        del os.environ[_PARENT]


def watch_children(child_processes: list[subprocess.Popen[Any]]) -> None:
    """End this process and all others once one of them has failed and this one does not end by itself.

    Args:
        child_processes: what this process started, in the order of ranks from 1.
    """
    _children[:] = child_processes
    _start(_watch_children)


def _watch_children() -> None:
    while any(child.poll() is None for child in _children):
        time.sleep(_LOOK_EVERY)
        if any(child.poll() for child in _children):
            break
    if not any(child.poll() for child in _children):
        return
    time.sleep(GRACE)
    _say(f"{_which_ended()}; all others are stopped. --resume auto continues a training.")
    for child in _children:
        child.kill()
    os._exit(1)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    time.sleep(GRACE)
    _say("the main process of this job ended, so this one does too.")
    os._exit(1)


def _which_ended() -> str:
    """What became of the processes that this one started, or that some other one is gone."""
    until = time.monotonic() + 1
    while _children and not any(child.poll() for child in _children) and time.monotonic() < until:
        time.sleep(0.05)  # its connections close before it can be asked for
    codes = {rank: code for rank, child in enumerate(_children, 1) if (code := child.poll())}
    killed = {rank: code for rank, code in codes.items() if code < 0}  # others may have failed for want of it
    ended = [f"process {rank} of this job {_how(code)}" for rank, code in (killed or codes).items()]
    return ", ".join(ended) or "another process of this job ended"


def _how(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _say(text: str) -> None:
    sys.stderr.write(f"\nspecvid: {text}\n")
    sys.stderr.flush()


def _start(watch: Callable[..., None], *arguments: int) -> None:
    threading.Thread(target=watch, args=arguments, daemon=True).start()
