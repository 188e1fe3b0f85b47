"""What importing decord does to the rest of the process: nothing."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import numpy as np
from specvid.datasets.decode import has_decord
if not has_decord():
    sys.exit(3)
assert "nvblas" not in open("/proc/self/maps").read()
assert "nvidia" not in sys.modules or sys.modules["nvidia"] is not None
import torch
import faiss
x = np.random.default_rng(0).random((500, 100), dtype=np.float32)
print(faiss.pairwise_distances(x, x, faiss.METRIC_L2).shape)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/maps")
def test_faiss_works_after_decord_was_loaded() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    if ran.returncode == 3:
        pytest.skip("decord is not installed here")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split("\n")[-2] == "(500, 500)"
