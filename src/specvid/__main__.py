"""``python -m specvid`` and the console script ``specvid``."""

import io
import os
import sys

from specvid.large_pages import restart_with_large_pages
from specvid.surroundings import ignore_working_directory, start_no_process_there

# How long a thread of PyTorch's spins when it has nothing to do. By the default, long: then on a CPU that other
# programs use as well each waits for the other, and a training step takes up to ten times as long. Read by
# GNU OpenMP when torch is imported, so it stands here; whoever sets the variable is not overruled.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")
ignore_working_directory()


def main() -> int:
    """Run the command line on ``sys.argv`` and return its exit code."""
    restart_with_large_pages()
    from specvid.cli import run

    start_no_process_there()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold what the terminal's encoding has no word for
        sys.stdout.reconfigure(errors="backslashreplace")
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
