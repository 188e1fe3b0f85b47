"""Two processes over gloo score what one scores: the padding counts nobody twice, because there is none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_reid import train

from specvid.datasets.synthetic.gait import Gait
from specvid.datasets.synthetic.reid import synthesize_mars
from specvid.eval import load_features
from specvid.pipelines.engine.run import RunFolder

DRIVER = Path(__file__).parents[2] / "support" / "two_reid_processes.py"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the driver forks")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run that one process trained and scored (on an odd number of tracklets), and what two processes found."""
    folder = tmp_path_factory.mktemp("two")
    data = folder / "mars"
    synthesize_mars(data, tracklets=7, distractors=2, junk=1, task=Gait(identities=8, frames=6))
    assert (
        train(data, folder, "--name one --width 30 --identities 4 --batch-size 8 --epochs 2 --blocks snl@layer2.-1")
        == 0
    )
    alone = RunFolder(folder / "one").path / "eval/split1-last-all/features.parquet"
    alone.rename(folder / "alone.parquet")
    command = [sys.executable, str(DRIVER), str(data), str(folder / "one"), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_tracklet_is_counted_once(folder):
    found = [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    entry = RunFolder(folder / "one").results()["evaluations"][0]
    assert entry["protocols"]["mars"]["gallery_tracklets"] == 31
    for rank in found:
        assert rank["evaluation"]["protocols"].keys() == entry["protocols"].keys()
        for name, figures in entry["protocols"].items():
            for key, value in figures.items():
                assert rank["evaluation"]["protocols"][name][key] == pytest.approx(value, abs=1e-6), (name, key)
    alone = load_features(folder / "alone.parquet")
    pair = load_features(folder / "one/eval/split1-last-all/features.parquet")
    assert alone.gallery_names.tolist() == pair.gallery_names.tolist()
    np.testing.assert_allclose(pair.gallery, alone.gallery, atol=1e-5)


def test_two_processes_train_together(folder):
    found = [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert found[0]["pair"] == found[1]["pair"]
    lines = RunFolder(folder / "pair").lines()
    assert [line["clips"] for line in lines] == [8, 8]  # one batch of 4 identities x 2 tracklets an epoch, over both
    assert all(line["centre_loss"] > 0 for line in lines)
