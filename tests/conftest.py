"""Before a test imports torch: threads that wait do not spin for long, as in the command line."""

import specvid.__main__  # noqa: F401
