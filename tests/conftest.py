"""Before any test imports torch: threads that wait do not spin for long, as in the command line (`specvid.__main__`)."""

import specvid.__main__  # noqa: F401
