"""``python -m specvid`` and the console script ``specvid``."""

import sys


def main() -> int:
    """Run the command line on ``sys.argv`` and return its exit code."""
    from specvid.pipelines.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
