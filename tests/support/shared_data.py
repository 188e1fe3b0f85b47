"""Where the real data and the golden numbers lie: beside the checkout, or where ``SPECVID_SHARED`` says."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SPECVID_SHARED", Path(__file__).resolve().parents[3] / "shared"))


def shared(relative: str) -> Path:
    """Path of a file or folder of the shared data; skips the test, saying what is missing, where there is none."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"{relative} is not in {SHARED} (real data, not part of a checkout; set SPECVID_SHARED)")
    return path
