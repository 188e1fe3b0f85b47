"""How much memory is free, so that what a file claims can be refused before anything is allocated."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def available_bytes() -> int | None:
    """Memory that can be taken without swapping, in bytes: that of the machine or of the control group, if less.

    Returns:
        None where the system does not report it (other than Linux).
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    try:
        limit, used = (int(Path("/sys/fs/cgroup", name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no control group, or no limit ("max")
        return free
    return min(free, max(0, limit - used))


def check_memory(size: int, what: str) -> None:
    """Refuse what does not fit into memory.

    Args:
        size: bytes that are to be taken.
        what: what takes them, at the beginning of the message: "its arrays take".

    Raises:
        ValueError: there is less.
    """
    free = available_bytes()
    if free is not None and size > free:
        raise ValueError(f"{what} {size / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB of memory are free")


@contextlib.contextmanager
def taking_at_most(size: int) -> Iterator[None]:
    """Within the block an allocation that would take this process beyond a limit fails, as if memory had ended.

    For what reads files that were not made here, in which a few bytes may stand for any number of them. All threads of
    the process share the limit. Nothing is limited on other systems than Linux.

    Args:
        size: bytes that may be taken beyond those that are mapped already; what libraries map in passing counts, too.

    Raises:
        MemoryError: as Python says that an allocation failed; libraries say it in their own words.
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    usual, most = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limits = [limit for limit in (mapped + size, usual, most) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (usual, most))
