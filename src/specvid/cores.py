"""How many cores there are to compute on, so that no more processes are started than they can run."""

import os
from pathlib import Path

CONTROL_GROUP = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Cores that this process may use: those of the machine, of its affinity, or of its container, whichever is least.

    Returns:
        At least 1. A container's share (``docker run --cpus 2.5``) is rounded down.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    try:
        quota, period = map(int, CONTROL_GROUP.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # no control group, or no limit ("max 100000")
        return cores
    return max(1, min(cores, quota // period))
