"""A training that is killed at random moments and resumed ends, bit for bit, with the weights of one that is not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_ucf101 import synthesize_tiny_ucf101

DRIVER = Path(__file__).parents[2] / "support" / "kill_and_resume.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the driver forks")
def test_killed_and_resumed_it_is_bit_for_bit_the_same(tmp_path: Path) -> None:
    data, out = synthesize_tiny_ucf101(tmp_path / "data"), tmp_path / "runs"
    command = [sys.executable, str(DRIVER), str(data), str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    runs = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert runs.keys() == {"killed0", "killed2"}
    assert sum(run["died"] for run in runs.values()) >= 2  # the kills hit running trainings
    assert sum(run["continued"] for run in runs.values()) >= 1  # and some of them after a first save

    for name in runs:
        for which in ("last", "best"):
            whole = load_file(out / "whole" / which / "model.safetensors")
            killed = load_file(out / name / which / "model.safetensors")
            assert whole.keys() == killed.keys()
            for tensor in whole:
                assert torch.equal(whole[tensor], killed[tensor]), f"{name}, {which}: {tensor}"
        assert (out / name / "eval/split1-last-1x1/clips.csv").read_text() == (
            out / "whole/eval/split1-last-1x1/clips.csv"
        ).read_text()
        assert figures(out / name) == figures(out / "whole")


def figures(run: Path) -> list[dict]:
    """The lines of metrics.jsonl without what the clock says."""
    timed = ("seconds", "clips_per_s", "wait_share")
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in line.items() if name not in timed} for line in lines]
