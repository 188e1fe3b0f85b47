"""Before a test imports torch: one thread a process, because the networks of tests are tiny and `make test` runs a
process a core; and threads that wait do not spin for long, as in the command line."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import specvid.__main__  # noqa: F401
