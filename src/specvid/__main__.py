"""``python -m specvid`` and the console script ``specvid``."""

import io
import os
import sys

# How long a thread of PyTorch's spins when it has nothing to do. By the default, long: then on a CPU that other
# programs use as well each waits for the other, and a training step takes up to ten times as long. Read by
# GNU OpenMP when torch is imported, so it stands here; whoever sets the variable is not overruled.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")


def main() -> int:
    """Run the command line on ``sys.argv`` and return its exit code."""
    from specvid.cli import run

    # Processes that Python starts for us look for modules in the working directory first, which may be somebody else's
    # data set. Where this process does not, they do not either. Python 3.10 does not read the variable.
    if not {"", os.path.abspath(os.curdir)} & set(sys.path):
        os.environ.setdefault("PYTHONSAFEPATH", "1")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold what the terminal's encoding has no word for
        sys.stdout.reconfigure(errors="backslashreplace")
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
