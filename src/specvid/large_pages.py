"""Memory in large pages, and kept: on a CPU a network asks for the same memory at every step and gives it back.

glibc takes that memory from the system in pieces of 4 KiB and returns it, and the system clears every piece anew. It
reads its settings when a program starts, so the command line starts itself once more with them. They change no number.
"""

import contextlib
import os
import re
import sys
from pathlib import Path
from typing import Any

VARIABLE = "GLIBC_TUNABLES"
_STARTED = "_SPECVID_STARTED"  # number of the process that started itself anew
# Pages of 2 MiB; up to 8 GiB that are free at the end stay with the process; and only what is larger than 32 MiB, the
# most that glibc allows, is taken from the system and returned by itself.
TUNABLES = {"hugetlb": 1, "trim_threshold": 8 * 2**30, "mmap_threshold": 32 * 2**20}
_COMPUTING = ("ablate", "bench", "demo", "embed", "eval", "predict", "train")
_FIRST = (2, 35)  # glibc that knows hugetlb
_MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def restart_with_large_pages() -> None:
    """Start this program anew with the settings above, as the same process: does not return where it does.

    It is left alone where it computes nothing, where glibc or the kernel has no such pages, where a debugger runs it,
    and where ``GLIBC_TUNABLES`` is set to anything: whoever sets the variable is not overruled.
    """
    again = os.environ.pop(_STARTED, "") == str(os.getpid())  # also where something took the variable away
    if again or VARIABLE in os.environ or not _wanted(sys.argv[1:]) or not _available():
        return
    settings = ":".join(f"glibc.malloc.{name}={value}" for name, value in TUNABLES.items())
    environment = os.environ | {VARIABLE: settings, _STARTED: str(os.getpid())}
    with contextlib.suppress(OSError, ValueError, TypeError):  # no interpreter, arguments too long: it goes on as it is
        os.execve(sys.executable, sys.orig_argv, environment)


def _wanted(words: list[str]) -> bool:
    """Whether the verb computes something, and this process was started for it: not by code that calls the program."""
    if not words or words[0] not in _COMPUTING or {"-h", "--help"} & set(words) or _is_watched():
        return False
    *options, program = sys.orig_argv[1 : -len(words)] or [""]
    if options[-1:] and re.fullmatch(r"-[A-Za-z]*m", options[-1]):
        named = program == "specvid"
    else:
        named = Path(program).name in ("specvid", "__main__.py")
    # no -c and no other program, which would do again what it did: only options, and the values of two of them
    plain = all(
        (option.startswith("-") and "c" not in option) or before in ("-X", "-W")
        for before, option in zip(["", *options], options, strict=False)
    )
    return named and plain and sys.orig_argv[-len(words) :] == words


def _is_watched() -> bool:
    """Whether a debugger or profiler runs this process."""
    monitoring: Any = getattr(sys, "monitoring", None)  # Python 3.12
    if monitoring and any(map(monitoring.get_tool, (monitoring.DEBUGGER_ID, monitoring.PROFILER_ID))):
        return True
    return sys.gettrace() is not None or sys.getprofile() is not None


def _available() -> bool:
    """Whether glibc and the kernel have large pages for whoever asks."""
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
        number = tuple(map(int, version.split(".")[:2]))
        return name == "glibc" and number >= _FIRST and "[never]" not in _MODE.read_text(encoding="ascii")
    except (AttributeError, ValueError, OSError):  # another system, or another C library
        return False
