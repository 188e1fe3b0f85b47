"""What a process that decodes does first, before it imports anything that takes long: see to its end.

A process that is spawned imports PyTorch for seconds; until then, neither the end of the main one nor Ctrl-C would find
it prepared.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from typing import Any

_PR_SET_PDEATHSIG = 1


def start_worker(number: int) -> None:
    """The first thing that a loading process does.

    Args:
        number: of the process, from 0.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's business
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.excepthook = _without_lost_connections
    end_with_parent()
    # Threads do not survive a fork, and what would share its work with them waits for them, for ever.
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(0)  # not 1, which waits, too
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _without_lost_connections(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """What a thread that hands tensors over says where the main process, interrupted, does not take them any more."""
    if not isinstance(error, EOFError | OSError):
        sys.__excepthook__(kind, error, trace)


def end_with_parent() -> None:
    """End this process as soon as the one that started it is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    through_server = multiprocessing.get_start_method(allow_none=True) == "forkserver"
    if sys.platform == "linux" and not through_server:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent, through_server), daemon=True).start()
    if not through_server and os.getppid() != parent.pid:  # it ended while this process started, which takes seconds
        os._exit(1)


def _watch(parent: Any, through_server: bool) -> None:
    while parent.is_alive() if through_server else os.getppid() == parent.pid:
        time.sleep(1)
    os._exit(1)
