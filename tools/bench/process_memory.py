"""Memory of this process as the kernel counts it, resident now and at most; and CPU time of others.

Only Linux reports all of it.
"""

import contextlib
import ctypes
import os
import sys
from pathlib import Path


def resident_mebibytes() -> float:
    """Resident memory now, MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def restart_peak() -> float:
    """Make ``peak_mebibytes`` begin anew, where the system can (Linux); what is free goes back to the system before.

    Returns:
        The peak from which it begins, MiB: on Linux what is resident now.
    """
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_mebibytes()


def peak_mebibytes() -> float:
    """The most resident memory since the start of the process, or on Linux since ``restart_peak``, MiB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 2**10
    except (OSError, StopIteration):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)


def cpu_seconds(process: int) -> float:
    """CPU time that another process has used so far, s.

    Args:
        process: its number.

    Returns:
        User and system time; 0 where the system does not say (only Linux does).
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
