"""What importing decord does to the rest of the process: nothing."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from synthetic_videos import read_numbers, write_numbered

from specvid.datasets import decode
from specvid.datasets.decode.opening import import_decord

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


def test_the_decord_of_2021_in_its_place_is_not_used(tmp_path, monkeypatch) -> None:
    """mmaction2 depends on it, and it is installed over decord2: it is named, and PyAV reads instead."""
    monkeypatch.setitem(sys.modules, "decord", SimpleNamespace(__version__="0.6.0"))
    with pytest.raises(
        ImportError, match=r"decord 0\.6\.0 stands in .* `pip install --force-reinstall --no-deps decord2`"
    ):
        import_decord()
    decode.has_decord.cache_clear()
    try:
        assert not decode.has_decord()
        with decode.open_video(write_numbered(tmp_path), "decord") as video:
            assert read_numbers(video.frames(np.arange(20, 30))) == list(range(20, 30))
    finally:
        decode.has_decord.cache_clear()
